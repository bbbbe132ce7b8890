import { join } from 'node:path';
import { Child } from '../harness/child.process.js';

/** The app of `app.mjs`, in a process of its own. */
export class OrdersApp {
  private constructor(
    private readonly child: Child,
    private readonly urls: { readonly url: string; readonly report: string },
  ) {}

  /** Starts it and has it register itself. @param serverUrl of a server that goes on */
  static async start(serverUrl: string): Promise<OrdersApp> {
    const child = Child.run({
      name: 'app',
      script: join(import.meta.dirname, 'app.mjs'),
      env: { INNGEST_DEV: serverUrl },
      cwd: import.meta.dirname,
    });
    const app = new OrdersApp(child, await child.said('listening'));
    const response = await fetch(app.urls.url, { method: 'PUT' });
    if (response.status !== 200) throw new Error(`sync failed: ${response.status} ${await response.text()}`);
    return app;
  }

  /** By `<n>/<step>`, how often its body ran. */
  async executed(): Promise<ReadonlyMap<string, number>> {
    const report = (await (await fetch(this.urls.report)).json()) as { executed: [string, number][] };
    return new Map(report.executed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.kill();
  }
}

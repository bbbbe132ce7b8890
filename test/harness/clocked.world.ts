import type { Api } from './api.client.js';
import { SdkApps } from './sdk-app.process.js';
import { Server } from './server.process.js';
import { Stage } from './stage.js';

/**
 * A server of its own whose clock is turned by hand, and an app beside it. The clock is moved by one story at a time, and only while nothing is
 * under way.
 */
export class ClockedWorld {
  private constructor(
    readonly server: Server,
    readonly apps: SdkApps,
    readonly stage: Stage,
  ) {}

  /** @param functions files of functions, from the root of the checkout */
  static async open(...functions: readonly string[]): Promise<ClockedWorld> {
    const server = await Server.start({ clocked: true, flags: { 'retry-interval': 0 } });
    const apps = await SdkApps.start([{ id: 'v4', variant: 'v4', functions }], { INNGEST_DEV: server.url });
    await apps.sync('v4');
    return new ClockedWorld(server, apps, new Stage('v4', server.api, apps.log, 'v4'));
  }

  get api(): Api {
    return this.stage.api;
  }

  now(): Promise<number> {
    return this.server.shift(0);
  }

  shift(ms: number): Promise<number> {
    return this.server.shift(ms);
  }

  /** Up to an instant, or a little past it. */
  async shiftTo(at: number): Promise<void> {
    const left = at - (await this.now());
    if (left > 0) await this.shift(left);
  }

  async close(): Promise<void> {
    await this.apps[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

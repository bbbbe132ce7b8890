import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { HEADER } from '#protocol/headers.js';
import { verifySignature } from '#protocol/signing.js';
import { sharedServices } from '../harness/cluster.names.js';
import { Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';

/** A key for each process that asks: so it is known who does. */
const KEYS = [0, 1].map((n) => `signkey-test-${String(n).repeat(64)}`);

/** Is asked, and answers when it is told to. */
class SlowApp {
  /** Which process asked, each time. */
  readonly asked: number[] = [];
  /** The most who waited at one time. */
  most = 0;
  private readonly waiting = new Set<ServerResponse>();
  private readonly server = createServer((request, response) => {
    this.waiting.add(response);
    response.on('close', () => this.waiting.delete(response));
    this.most = Math.max(this.most, this.waiting.size);
    const signature = String(request.headers[HEADER.signature]);
    void text(request).then((body) =>
      this.asked.push(KEYS.findIndex((key) => verifySignature(signature, body, [key], Date.now()).ok)),
    );
  });

  static async open(): Promise<SlowApp> {
    const app = new SlowApp();
    await new Promise<void>((resolve) => app.server.listen(0, '127.0.0.1', resolve));
    return app;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/api/inngest`;
  }

  /** Once it was asked so often. */
  async times(count: number, withinMs = 30_000): Promise<void> {
    const what = `an app to be asked ${count} times`;
    await until(() => (this.asked.length >= count ? true : undefined), { what, withinMs });
  }

  /** Says that it is no app. */
  answer(): void {
    for (const response of this.waiting) response.writeHead(404).end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

const ROUNDS = 5;

describe.skipIf(!sharedServices())('several processes that look after apps', () => {
  it('ask one at a time, and one goes on where the other dies', async () => {
    await using app = await SlowApp.open();
    const flags = { 'event-key': 'event-key-1', 'sdk-url': app.url, 'poll-interval': 0.2, 'no-poll': [] };
    const apis = KEYS.map((key) => ({ roles: 'event-api,api', flags: { 'signing-key': key } }));
    const others = ['runner', 'executor', 'projector'].map((roles) => ({ roles, flags: { 'signing-key': KEYS[0]! } }));
    await using server = await Server.start({ mode: 'start', flags, processes: [...apis, ...others] });
    for (let round = 1; round <= ROUNDS; round++) {
      await app.times(round);
      // All are up, and would have asked as well.
      for (const url of server.urls) expect((await fetch(`${url}/health/live`)).status).toBe(200);
      if (round < ROUNDS) app.answer();
    }

    const dying = app.asked.at(-1)!;
    await server.of()[dying]!.kill();
    const before = app.asked.length;
    // Once it has been silent for long enough.
    await app.times(before + 1, 90_000);
    app.answer();
    await app.times(before + 2);
    expect(new Set(app.asked.slice(before))).toEqual(new Set([1 - dying]));
    expect(app.most).toBe(1);
  });
});

import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Child } from '../harness/child.process.js';
import { checkout } from '../harness/root.path.js';
import { Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';

/** What `npm run demo -- ...` runs. */
async function demo(...args: string[]): Promise<{ readonly exitCode: number | null; readonly output: string }> {
  const child = Child.run({
    name: 'demo',
    script: join(checkout, 'examples/quickstart-ts/demo.ts'),
    args,
    cwd: checkout,
  });
  await until(() => !child.alive || undefined, {
    what: () => `the end of the demo:\n${child.output}`,
    withinMs: 90_000,
  });
  await child.stop();
  return { exitCode: child.exitCode, output: child.output };
}

// One after the other: the second story is of what the first leaves behind.
describe('the demo against a running server', { concurrent: false }, () => {
  let server: Server;
  beforeAll(async () => {
    server = await Server.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('sends an order, pays it and prints each step; then one that fails, and its handler', async () => {
    const { exitCode, output } = await demo('--url', server.url);
    expect(output).toMatch(/run scheduled[^]+function called[^]+step "check the order" done: 2500/);
    expect(output).toContain('step "reserve the stock" done');
    expect(output).toContain('step "write the invoice" done');
    expect(output).toMatch(/sleep "let the ink dry" until [^]+sleep "let the ink dry" is over/);
    expect(output).toMatch(
      /wait "payment" for quickstart\/order.paid[^]+wait "payment": it came[^]+step "ship it" done[^]+run completed/,
    );
    expect(output).toMatch(/run failed: we do not sell a unicorn[^]+step "apologize" done[^]+run completed/);
    // Three of the red printer, in the order in which they came to the line: a cluster does not promise another.
    for (const place of ['1st', '2nd'])
      expect(output).toMatch(new RegExp(`parcel [123] {2}waits for one of 1 under "red printer", ${place} in line`));
    expect(output).not.toMatch(/parcel 4 {2}waits/);
    expect(output).toMatch(/parcel 3 {2}printed: parcel 3 by the red printer/);
    expect(exitCode, output).toBe(0);

    const runs = await server.api.request<{ data: { function_slug: string; status: string }[] }>('GET', '/v1/runs');
    expect(runs.body.data.map(({ function_slug, status }) => [function_slug, status]).sort()).toEqual([
      ...Array.from({ length: 4 }, () => ['quickstart-print-label', 'Completed']),
      ['quickstart-process-order', 'Completed'],
      ['quickstart-process-order', 'Failed'],
      ['quickstart-process-order-failure', 'Completed'],
    ]);
  });

  it('can be run again at once: the shop of the last time is gone, and not taken for running', async () => {
    const { exitCode, output } = await demo('--url', server.url);
    expect(exitCode, output).toBe(0);
  });
});

describe('the demo without a server', () => {
  it('says what to do', async () => {
    const { exitCode, output } = await demo('--url', 'http://127.0.0.1:9');
    expect(output).toContain('No server answers at http://127.0.0.1:9');
    expect(output).toContain('npm start');
    expect(exitCode).toBe(1);
  });

  it('tells another program from a server', async () => {
    const other = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { exitCode, output } = await demo('--url', `http://127.0.0.1:${(other.address() as AddressInfo).port}`);
    expect(output).toContain('is no Millrace server');
    expect(exitCode).toBe(1);
    other.close();
  });
});

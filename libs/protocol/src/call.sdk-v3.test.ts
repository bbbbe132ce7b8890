import { Inngest } from 'inngest-v3';
import { serve } from 'inngest-v3/edge';
import { expect, it } from 'vitest';
import { call, drive, DRIVE_KEY } from '#testkit/sdk-drive.js';

const silent = { info() {}, warn() {}, error() {}, debug() {} };
const client = new Inngest({ id: 'app', isDev: false, eventKey: 'k', logger: silent });
const callee = client.createFunction({ id: 'callee' }, { event: 't/callee' }, () => ({ from: 'child' }));
const handler = serve({
  client,
  signingKey: DRIVE_KEY,
  functions: [
    client.createFunction({ id: 'fn' }, { event: 't/x' }, async ({ event, step }) => {
      const a = await step.run('a', () => ({ é: (event.data as { n: number }).n }));
      await step.sleep('nap', '1s');
      const waited = await step.waitForEvent('wait', { event: 't/y', timeout: '1h' });
      const child = await step.invoke('child', { function: callee, data: { q: 1 } });
      const both = await Promise.all([step.sleep('left', '1s'), step.sleep('right', '1s')]);
      return { a, waited: waited?.data as unknown, child, both };
    }),
  ],
});

it('TypeScript v3 takes what we say, and we what it says', async () => {
  expect((await call(handler)).requestVersion).toBe(1);
  expect(await drive(handler)).toEqual({
    seen: [
      'StepDone a',
      'Sleep nap',
      'WaitForEvent wait',
      'InvokeFunction child',
      'Sleep left',
      'Sleep right',
      'RunComplete complete',
    ],
    data: { a: { é: 1.5 }, waited: { n: 1.5, é: 'ü' }, child: { from: 'child' }, both: [null, null] },
  });
});

// A real app, written with the TypeScript SDK: every function of the benchmark, and every execution marked.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Inngest } from 'inngest';
import { serve } from 'inngest/node';
import { FAN_OUT, PARALLEL } from './load.shapes.ts';
import { Recorder } from './recorder.ts';

const recorder = new Recorder();
const inngest = new Inngest({ id: 'bench' });

const numberOf = (event: { readonly data: unknown }): number => (event.data as { readonly n: number }).n;

const noop = (id: string, name: string) =>
  inngest.createFunction({ id, triggers: [{ event: name }] }, ({ event }) => {
    recorder.mark(id, numberOf(event), 'finished');
  });

const sequence = (steps: number, checkpointing: boolean) => {
  const id = `steps${steps}-${checkpointing ? 'on' : 'off'}`;
  return inngest.createFunction(
    { id, triggers: [{ event: `bench/${id}` }], checkpointing },
    async ({ event, step }) => {
      const n = numberOf(event);
      for (let i = 0; i < steps; i++) await step.run(`step-${i}`, () => recorder.mark(id, n, `step-${i}`));
      recorder.mark(id, n, 'finished');
    },
  );
};

const parallel = inngest.createFunction(
  { id: 'parallel', triggers: [{ event: 'bench/parallel' }] },
  async ({ event, step }) => {
    const n = numberOf(event);
    const all = Array.from({ length: PARALLEL }, (_, i) =>
      step.run(`step-${i}`, () => {
        recorder.mark('parallel', n, `step-${i}`);
        return i;
      }),
    );
    const sum = (await Promise.all(all)).reduce((total, i) => total + i, 0);
    if (sum === (PARALLEL * (PARALLEL - 1)) / 2) recorder.mark('parallel', n, 'finished');
  },
);

const wait = inngest.createFunction({ id: 'wait', triggers: [{ event: 'bench/wait' }] }, async ({ event, step }) => {
  const n = numberOf(event);
  const matched = await step.waitForEvent('match', { event: 'bench/match', match: 'data.n', timeout: '1h' });
  if (matched && numberOf(matched) === n) recorder.mark('wait', n, 'finished');
});

/** One step, whose result differs each time that it is run, and what was made of it: what a kill must not change. */
const token = inngest.createFunction({ id: 'token', triggers: [{ event: 'bench/token' }] }, async ({ event, step }) => {
  const n = numberOf(event);
  const drawn = await step.run('draw', () => {
    recorder.mark('token', n, 'draw');
    return Math.random();
  });
  recorder.mark('token', n, 'finished');
  return drawn;
});

const functions = [
  noop('noop', 'bench/noop'),
  ...Array.from({ length: FAN_OUT }, (_, i) => noop(`fan-${i}`, 'bench/fan')),
  ...[10, 100].flatMap((steps) => [sequence(steps, false), sequence(steps, true)]),
  parallel,
  wait,
  token,
];

const server = createServer(serve({ client: inngest, functions }));
server.listen(Number(process.env['PORT'] ?? 0), () => recorder.ready((server.address() as AddressInfo).port));

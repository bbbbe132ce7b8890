import { expect, it } from 'vitest';
import { Fault } from '#core/faults.js';
import { LIMITS } from '#core/limits.js';
import { readCheckpoint } from './checkpoint.read.js';

const NOW = 1_795_370_534_000;
const step = {
  id: '86f7',
  op: 'StepRun',
  name: 'a',
  displayName: 'a',
  opts: {},
  userland: { id: 'a' },
  data: 'A',
  timing: { a: 1_795_370_534_231_000_000, b: 0 },
  rawArgs: ['junk'],
  fulfilled: true,
};
const body = {
  run_id: 'R1',
  fn_id: '4c06f5a6-3a0b-549f-8d25-7237f71e8e14',
  qi_id: 'R1.3',
  request_id: 'Q1',
  generation_id: 1,
  request_started_at: 1_795_370_534_215,
  steps: [step],
  ts: 1_795_370_534_232,
};

function refusal(changed: object): Fault {
  try {
    readCheckpoint({ ...body, ...changed }, 'R1', NOW);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('it was taken');
}

it('reads what TypeScript tells', () => {
  expect(readCheckpoint(body, 'R1', NOW)).toEqual({
    runId: 'R1',
    fnId: body.fn_id,
    qiId: 'R1.3',
    requestId: 'Q1',
    generationId: 1,
    ops: [{ op: 'StepDone', id: '86f7', name: 'a', memo: '{"data":"A"}', startedAt: 1_795_370_534_231, ranMs: 0 }],
  });
});

it('reads what Go tells, and nothing at all', () => {
  const { run_id, fn_id, qi_id } = body;
  expect(readCheckpoint({ run_id, fn_id, qi_id, steps: [] }, 'R1', NOW)).toEqual({
    runId: 'R1',
    fnId: body.fn_id,
    qiId: 'R1.3',
    ops: [],
  });
  expect(readCheckpoint({ ...body, generation_id: null, request_id: null }, 'R1', NOW)).not.toHaveProperty(
    'generationId',
  );
});

it('takes what may be told on the way', () => {
  const steps = [
    step,
    { op: 'Step', id: 'k', data: { a: 1 } },
    { op: 'StepPlanned', id: 'p' },
    { op: 'DeferAdd', id: 'd', opts: { fn_slug: 'f' } },
    { op: 'DeferAbort', id: 'e', opts: { target_hashed_id: 'd' } },
    { op: 'RunComplete', id: 'c', data: 1 },
    { op: 'None' },
  ];
  const { ops } = readCheckpoint({ ...body, steps }, 'R1', NOW);
  expect(ops.map(({ op }) => op)).toEqual([
    'DeferAdd',
    'DeferAbort',
    'StepDone',
    'StepDone',
    'StepPlanned',
    'RunComplete',
  ]);
});

it.each([
  'Sleep',
  'WaitForEvent',
  'WaitForSignal',
  'InvokeFunction',
  'Gateway',
  'AIGateway',
  'StepError',
  'StepFailed',
  'DiscoveryRequest',
  'X',
  5,
  undefined,
])('refuses %s, and with it the rest', (op) => {
  expect(refusal({ steps: [step, { ...step, id: 'b', op }] })).toMatchObject({
    code: 'checkpoint_refused',
    status: 400,
    message: 'cannot checkpoint async steps',
  });
});

it('refuses what it cannot read', () => {
  expect(refusal({ run_id: 'R2' })).toMatchObject({ code: 'request_invalid' });
  expect(refusal({ qi_id: null })).toMatchObject({ code: 'request_invalid', message: 'qi_id is missing' });
  expect(refusal({ steps: {} })).toMatchObject({ code: 'request_invalid' });
  expect(refusal({ steps: [null] })).toMatchObject({ code: 'checkpoint_refused' });
  expect(refusal({ steps: [{ op: 'StepRun', id: '' }] })).toMatchObject({ code: 'request_invalid' });
  expect(
    refusal({ steps: [{ ...step, data: JSON.parse('['.repeat(600) + ']'.repeat(600)) as unknown }] }),
  ).toMatchObject({ code: 'body_too_deep' });
  for (const nothing of [undefined, null, 5, 'x', []]) expect(() => readCheckpoint(nothing, 'R1', NOW)).toThrow(Fault);
});

it('refuses a step that is too large', () => {
  const large = refusal({ steps: [{ ...step, data: 'x'.repeat(LIMITS.stepOutputBytesMax) }] });
  expect(large).toMatchObject({ code: 'checkpoint_too_large', status: 413, data: { runId: 'R1', stepId: '86f7' } });
  expect(large.message).toMatch(/^step 86f7 output too large: /);
});

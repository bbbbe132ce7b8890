import fc from 'fast-check';
import type { FlowKey, FunctionLimits, RunFlow } from '#core/flow/flow.js';
import type { RunSlot, WorkItem } from '#core/flow/flow.work.js';
import { DEFAULT_ENV } from '#core/words.js';
import { throttleKey } from '#core/flow/flow.js';
import type { FlowReference } from './flow.reference.js';

/** Random histories of a queue, as plain data. */

/** What is done to a queue. `claim` names the token of what it may get. */
export type FlowMove =
  | { readonly type: 'enqueue'; readonly items: readonly WorkItem[] }
  | { readonly type: 'withdraw'; readonly id: string }
  | { readonly type: 'claim'; readonly token: string }
  | { readonly type: 'extend' | 'complete'; readonly token: string }
  | { readonly type: 'turn'; readonly ms: number }
  | { readonly type: 'limits'; readonly functionId: string; readonly limits: FunctionLimits | undefined }
  | { readonly type: 'occupy'; readonly slot: RunSlot }
  | { readonly type: 'vacate'; readonly runId: string }
  | { readonly type: 'throttled'; readonly key: string; readonly tat: number }
  | { readonly type: 'crash' };

/** What may come, how often: each as often as it stands here. */
export type MoveKind = FlowMove['type'] | 'again' | 'underWay';

export interface FlowPlan {
  readonly limits: readonly (FunctionLimits | undefined)[];
  readonly runs: readonly { readonly fn: number; readonly flow?: RunFlow }[];
  readonly choices: readonly (readonly [kind: MoveKind, a: number, b: number, c: number])[];
}

export interface FlowKind {
  /** Of the functions, which are as many. */
  readonly limits: readonly fc.Arbitrary<FunctionLimits | undefined>[];
  readonly flow: fc.Arbitrary<RunFlow | undefined>;
  readonly moves: readonly MoveKind[];
  readonly runs: number;
  readonly moveCount: number;
}

export function anyPlan({ limits, flow, moves, runs, moveCount }: FlowKind): fc.Arbitrary<FlowPlan> {
  const run = fc.tuple(fc.nat(limits.length - 1), flow).map(([fn, one]) => ({ fn, ...(one ? { flow: one } : {}) }));
  return fc.record({
    limits: fc.tuple(...limits),
    runs: fc.array(run, { minLength: 1, maxLength: runs }),
    choices: fc.array(fc.tuple(fc.constantFrom(...moves), fc.nat(999), fc.nat(999), fc.nat(999)), {
      minLength: moveCount / 2,
      maxLength: moveCount,
    }),
  });
}

/** Makes moves of choices: what they choose among is what the reference has by then. */
export class FlowPlayer {
  private items: WorkItem[] = [];
  private tokens: string[] = [];

  constructor(
    private readonly plan: FlowPlan,
    private readonly reference: FlowReference,
    private readonly limits: readonly (FunctionLimits | undefined)[],
  ) {}

  move([kind, a, b, c]: FlowPlan['choices'][number]): FlowMove | undefined {
    const { plan, reference } = this;
    const { fn, flow } = at(plan.runs, a) as FlowPlan['runs'][number];
    const runId = `run${a % plan.runs.length}`;
    switch (kind) {
      case 'enqueue':
      case 'underWay': {
        const dueAt = kind === 'enqueue' && c % 3 === 0 ? reference.now + (c % 40) : reference.now;
        const item: WorkItem = {
          id: `item${this.items.length}`,
          env: DEFAULT_ENV,
          runId,
          functionId: functionId(fn),
          kind: 'call',
          target: 'step',
          seq: this.items.length,
          generation: 1,
          attempt: 0,
          dueAt,
          rank: b % 4,
          ...(flow ? { flow } : {}),
          ...(b % 3 > 0 ? { starts: true } : {}),
          ...(kind === 'underWay' ? { underWay: true } : {}),
        };
        this.items.push(item);
        return { type: 'enqueue', items: [item] };
      }
      case 'again': {
        const item = at(this.items, a);
        return item && { type: 'enqueue', items: [b % 3 === 0 ? { ...item, underWay: true } : item] };
      }
      case 'withdraw': {
        const kept = at(reference.kept, a);
        return kept && { type: 'withdraw', id: kept.item.id };
      }
      case 'claim': {
        const token = `token${this.tokens.length}`;
        this.tokens.push(token);
        return { type: 'claim', token };
      }
      case 'extend':
      case 'complete': {
        const held = reference.kept.flatMap(({ lease }) => lease?.token ?? []);
        const token = b % 10 === 0 ? at(this.tokens, a) : at(held, a);
        return token === undefined ? undefined : { type: kind, token };
      }
      case 'turn':
        return { type: 'turn', ms: c % 2 === 0 ? a % 4 : a % 25 };
      case 'limits':
        return { type: 'limits', functionId: functionId(a % plan.limits.length), limits: at(this.limits, b) };
      case 'occupy':
        return (
          flow?.run && { type: 'occupy', slot: { runId, env: DEFAULT_ENV, functionId: functionId(fn), key: flow.run } }
        );
      case 'vacate':
        return { type: 'vacate', runId: (b % 2 === 0 && at(reference.slots, a)?.runId) || runId };
      case 'throttled': {
        const key = flow?.throttle && throttleKey(DEFAULT_ENV, functionId(fn), flow.throttle);
        return key === undefined ? undefined : { type: 'throttled', key, tat: reference.now + (b % 30) };
      }
      case 'crash':
        return { type: 'crash' };
    }
  }
}

export function functionId(fn: number): string {
  return `fn${fn}`;
}

function at<T>(list: readonly T[], n: number): T | undefined {
  return list[n % list.length];
}

export const upTo = (max: number) => fc.integer({ min: 1, max });

/** Any of few values, so that runs meet. */
export function anyKey<S extends FlowKey['scope']>(scopes: readonly S[], expressions: readonly string[]) {
  return fc.record({
    scope: fc.constantFrom(...scopes),
    expression: fc.constantFrom(...expressions),
    value: fc.constantFrom('x', 'y'),
    limit: upTo(2),
  });
}

/** Up to two keys of any scope. */
export const anyStepKeys = fc.uniqueArray(anyKey(['fn', 'env', 'account'], ['a', 'b']), {
  maxLength: 2,
  selector: ({ scope, expression }) => `${scope}${expression}`,
});
/** Numbers for some of them. */
export const anyStep = fc.array(
  fc.record({
    scope: fc.constantFrom('fn' as const, 'env' as const, 'account' as const),
    expression: fc.constantFrom('a', 'b'),
    limit: upTo(3),
  }),
  { maxLength: 3 },
);
export const anyRunKey = anyKey(['fn'], ['a', 'b']);
export const anyRunNumber = fc.record({ expression: fc.constantFrom('a', 'b'), limit: upTo(2) });
export const anyThrottleKey = fc.record({ expression: fc.constantFrom('t', 'u'), value: fc.constantFrom('x', 'y') });
export const anyRate = fc.record({ limit: upTo(3), periodMs: fc.constantFrom(5, 10, 20), burst: fc.nat(2) });

export const anyFlow = fc.record({ step: anyStepKeys, run: anyRunKey, throttle: anyThrottleKey }, { requiredKeys: [] });
export const anyLimits = fc.record(
  {
    concurrency: upTo(3),
    declared: fc.boolean(),
    step: anyStep,
    run: anyRunNumber,
    throttle: anyRate,
    paused: fc.boolean(),
  },
  { requiredKeys: ['concurrency', 'declared'] },
);
const mayBeLimits = fc.option(anyLimits, { nil: undefined });

/** All that there is, mixed. */
export const ANYTHING: FlowKind = {
  limits: [mayBeLimits, mayBeLimits, mayBeLimits],
  flow: anyFlow,
  // prettier-ignore
  moves: [
    'enqueue', 'enqueue', 'enqueue', 'enqueue', 'enqueue', 'enqueue', 'claim', 'claim', 'claim', 'claim', 'claim', 'claim',
    'complete', 'complete', 'turn', 'turn', 'extend', 'withdraw', 'again', 'underWay', 'occupy', 'occupy', 'vacate', 'vacate',
    'limits', 'throttled', 'crash',
  ],
  runs: 6,
  moveCount: 40,
};

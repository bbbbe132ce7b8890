import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anyFlow,
  anyKey,
  anyLimits,
  anyPlan,
  anyRate,
  anyRunKey,
  anyRunNumber,
  anyStep,
  anyStepKeys,
  anyThrottleKey,
  ANYTHING,
  FlowPlayer,
  functionId,
  upTo,
  type FlowKind,
  type FlowMove,
} from '#testkit/flow.history.js';
import { FlowReference, isBefore, type Kept } from '#testkit/flow.reference.js';
import type { FunctionLimits } from './flow.js';
import { FlowModel } from './flow.model.js';
import type { Lease } from './flow.work.js';

const LEASE_MS = 30;

/** A queue and the reference side by side; every move is judged. */
class Trial {
  readonly reference = new FlowReference();
  private model = new FlowModel();
  /** By line that was handed something: the lines that could go ever since and had no turn. The same for functions. */
  private readonly passedLines = new Map<string, Set<string>>();
  private readonly passedFns = new Map<string, Set<string>>();

  /** @param steady numbers never change, and nobody tells of throttles */
  constructor(
    private readonly fns: readonly string[],
    private readonly steady: boolean,
  ) {}

  play(move: FlowMove): void {
    const { reference, model } = this;
    const { now } = reference;
    switch (move.type) {
      case 'enqueue':
        reference.enqueue(move.items, LEASE_MS);
        model.enqueue(move.items, now, LEASE_MS);
        break;
      case 'withdraw':
        reference.withdraw(move.id);
        model.withdraw([move.id]);
        break;
      case 'claim':
        this.claim(move.token);
        break;
      case 'extend':
        reference.extend(move.token, LEASE_MS);
        same('extended', model.extend(move.token, now, LEASE_MS), reference.holder(move.token)?.lease?.until);
        break;
      case 'complete':
        same('completed', model.complete(move.token, now), reference.holder(move.token) !== undefined);
        reference.complete(move.token);
        break;
      case 'turn':
        reference.turn(move.ms);
        break;
      case 'limits':
        if (move.limits) reference.limits.set(move.functionId, move.limits);
        else reference.limits.delete(move.functionId);
        model.limits(move.functionId, move.limits, now);
        break;
      case 'occupy':
        reference.occupy(move.slot);
        model.occupy([move.slot]);
        break;
      case 'vacate':
        reference.vacate(move.runId);
        model.vacate([move.runId]);
        break;
      case 'throttled':
        reference.tell(move.key, move.tat);
        model.throttled([move]);
        break;
      case 'crash':
        this.crash();
    }
    this.look();
  }

  /** Another queue is built of what the log keeps. */
  private crash(): void {
    const { reference } = this;
    const { now } = reference;
    const model = (this.model = new FlowModel());
    const items = reference.crash(LEASE_MS);
    model.throttled([...reference.tats].map(([key, tat]) => ({ key, tat })));
    model.occupy(reference.slots.slice(1));
    for (const item of items) model.enqueue([item], now, LEASE_MS);
    model.occupy(reference.slots);
    for (const [fn, limits] of reference.limits) model.limits(fn, limits, now);
    this.passedLines.clear();
    this.passedFns.clear();
  }

  private claim(token: string): void {
    const { reference } = this;
    const may = reference.may();
    const lease = this.model.claim(reference.now, token, LEASE_MS);
    if (!lease) {
      same('nothing is stuck that may go', may.length, 0);
      return;
    }
    const kept = may.find(({ item }) => item.id === lease.item.id);
    if (!kept) return expect.fail(`${lease.item.id} is handed out and may not go`);
    const earlier = may.filter((other) => other.line === kept.line && isBefore(other, kept));
    same('the first of its line goes', earlier.length, 0);
    same('the lease', [lease.token, lease.until], [token, reference.now + LEASE_MS]);
    this.checkGrant(kept, lease);
    reference.take(kept, token, LEASE_MS);
    const could = reference.may();
    const lines = could.filter(({ fn }) => fn === kept.fn).map(({ line }) => line);
    had(this.passedLines, kept.line, lines);
    had(this.passedFns, kept.fn, could.map(({ fn }) => fn)); // prettier-ignore
  }

  private checkGrant(kept: Kept, { grant }: Lease): void {
    const { reference } = this;
    const { declared, step, throttle: rate } = reference.limitsOf(kept);
    const starts = reference.isStart(kept);
    const { throttle: key, outAt, item } = kept;
    const slot = starts && kept.run !== undefined;
    const throttle = starts && rate && key !== undefined ? { key, tat: reference.tatAfter(key, rate) } : undefined;
    const counted = declared || slot || throttle !== undefined || (step !== undefined && kept.steps.length > 0);
    same('a grant where a limit counts', grant !== undefined, counted);
    same('the throttle is charged', grant?.throttle, throttle);
    same('waited', grant?.waited?.ms ?? 0, counted ? reference.now - Math.max(outAt, item.dueAt) : 0);
    if (this.steady && throttle && rate) {
      expect(reference.opensByStarts(throttle.key, rate), 'starts keep their distance').toBeLessThanOrEqual(
        reference.now,
      );
    }
  }

  /** What is seen from outside is as the reference has it. */
  private look(): void {
    const { reference, model } = this;
    const { now } = reference;
    const could = reference.may();
    const may = model.advance(now);
    if (could.length > 0) same('who may go is seen', may, true);
    for (const fn of this.fns) {
      const [seen, known] = [model.counts(fn), reference.counts(fn)];
      for (const part of ['running', 'ready', 'later'] as const)
        if (seen[part] !== known[part]) same(part, seen, known);
    }
    const next = model.nextAt();
    if (next !== undefined && next <= now) expect.fail('time has nothing left to do');
    keep(this.passedLines, new Set(could.map(({ line }) => line)));
    keep(this.passedFns, new Set(could.map(({ fn }) => fn)));
  }

  /** What people are told of one run, and of each function. */
  explain(runId: string): void {
    const { reference, model } = this;
    const { now } = reference;
    const told = model.ofRun(runId, now).map(({ id, leased, wait }) => [id, leased, sorted(wait)]);
    const known = reference.kept.filter(({ item }) => item.runId === runId);
    same(
      'of a run',
      told,
      known.map((kept) => [
        kept.item.id,
        kept.lease !== undefined,
        reference.isReady(kept) ? reference.wait(kept) : undefined,
      ]),
    );
    for (const functionId of this.fns) {
      const { lines, lineCount, nextAt: _, ...counts } = model.backlog(functionId, 100, now);
      const standing = reference.kept.filter(
        (kept) => kept.fn === functionId && (kept.lease || reference.isReady(kept)),
      );
      const sum = (of: 'ready' | 'running') => lines.reduce((all, line) => all + line[of], 0);
      same('of a function', counts, reference.counts(functionId));
      same('its lines', lineCount, new Set(standing.map(({ line }) => line)).size);
      same('and what stands in them', [sum('ready'), sum('running')], [counts.ready, counts.running]);
    }
  }

  /** Everything ends: then nothing is left of it. */
  end(): void {
    const { reference } = this;
    for (const { item, lease } of [...reference.kept]) {
      if (lease?.token !== undefined) this.play({ type: 'complete', token: lease.token });
      else this.play({ type: 'withdraw', id: item.id });
    }
    for (const { runId } of [...reference.slots]) this.play({ type: 'vacate', runId });
    for (const fn of [...reference.limits.keys()]) this.play({ type: 'limits', functionId: fn, limits: undefined });
    this.play({ type: 'turn', ms: 10_000 });
    same('nothing is left', this.model.size, { fns: 0, lines: 0, groups: 0, buckets: 0, throttles: 0 });
    same('nothing is to come', this.model.nextAt(), undefined);
  }
}

/** One had its turn: nobody was passed over since its last, and whoever can go now comes before it has its next. */
function had(passed: Map<string, Set<string>>, one: string, could: readonly string[]): void {
  same('each has its turn', [...(passed.get(one) ?? [])], []);
  for (const others of passed.values()) others.delete(one);
  passed.set(one, new Set(could.filter((other) => other !== one)));
}

function keep(passed: Map<string, Set<string>>, could: ReadonlySet<string>): void {
  for (const others of passed.values()) for (const other of others) if (!could.has(other)) others.delete(other);
}

function sorted<T>(wait: T): T {
  if (typeof wait !== 'object' || wait === null || !('holders' in wait)) return wait;
  return { ...wait, holders: [...(wait.holders as string[])].sort() };
}

/** Most are the same: the words for a difference are only looked for where there is one. */
function same(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected && !isDeepStrictEqual(actual, expected)) expect(actual, what).toEqual(expected);
}

const RUNS = 10_000;

/** @param others numbers that functions may also come to have */
function keepsTo(kind: FlowKind, others?: readonly FunctionLimits[]): void {
  const steady = !kind.moves.some((move) => move === 'limits' || move === 'throttled');
  const fns = kind.limits.map((_, n) => functionId(n));
  fc.assert(
    fc.property(anyPlan(kind), (plan) => {
      const trial = new Trial(fns, steady);
      fns.forEach((fn, n) => trial.play({ type: 'limits', functionId: fn, limits: plan.limits[n] }));
      const player = new FlowPlayer(plan, trial.reference, [...plan.limits, ...(others ?? [])]);
      for (const choice of plan.choices) {
        const move = player.move(choice);
        if (move) trial.play(move);
      }
      trial.explain('run0');
      for (let n = 0; n < 4; n++) trial.play({ type: 'claim', token: `last${n}` });
      trial.end();
    }),
    { numRuns: RUNS },
  );
}

const wide = (limits: Partial<FunctionLimits>): FunctionLimits => ({ concurrency: 1_000, declared: false, ...limits });

const often = ['enqueue', 'enqueue', 'enqueue', 'claim', 'claim', 'claim', 'complete', 'turn'] as const;
const rare = ['extend', 'withdraw', 'again', 'underWay'] as const;
const slots = ['occupy', 'occupy', 'vacate', 'vacate'] as const;

describe('whatever comes, a queue keeps to', () => {
  it('limits on requests in progress, of all scopes', () => {
    const limits = fc.record({ concurrency: upTo(4), declared: fc.boolean(), step: anyStep });
    const flow = anyStepKeys.map((step) => ({ step }));
    keepsTo({ limits: [limits, limits], flow, moves: [...often, ...rare], runs: 5, moveCount: 30 });
  });

  it('limits on whole runs', () => {
    const limits = anyRunNumber.map((run) => wide({ run }));
    const flow = anyRunKey.map((run) => ({ run }));
    keepsTo({ limits: [limits], flow, moves: [...often, ...rare, ...slots], runs: 5, moveCount: 30 });
  });

  it('throttles: so many at once, then one for each interval', () => {
    const limits = anyRate.map((throttle) => wide({ throttle }));
    const flow = anyThrottleKey.map((throttle) => ({ throttle }));
    keepsTo({ limits: [limits], flow, moves: [...often, 'turn', ...rare, 'crash'], runs: 5, moveCount: 30 });
  });

  it('order in a line, by rank and arrival', () => {
    const limits = fc.record({ concurrency: upTo(2), declared: fc.boolean() });
    keepsTo({ limits: [limits], flow: fc.constant(undefined), moves: [...often, ...rare], runs: 3, moveCount: 30 });
  });

  it('turns of lines and of functions', () => {
    const limits = fc.record({ concurrency: upTo(3), declared: fc.boolean(), step: anyStep });
    const flow = anyKey(['fn', 'env'], ['a', 'b', 'c']).map((key) => ({ step: [key] }));
    const moves = [...often, ...often, 'withdraw'] as const;
    keepsTo({ limits: [limits, limits, limits], flow, moves, runs: 8, moveCount: 40 });
  });

  it('numbers that change, and pause', () => {
    const moves = [...often, 'limits', 'limits', 'occupy', 'vacate', 'throttled'] as const;
    const paused = [wide({ paused: true }), wide({ concurrency: 1, declared: true })];
    keepsTo({ limits: [anyLimits, anyLimits], flow: anyFlow, moves, runs: 5, moveCount: 30 }, paused);
  });

  it('what was before a crash', () => {
    const moves = [...often, 'occupy', 'vacate', 'withdraw', 'extend', 'crash'] as const;
    keepsTo({ limits: [anyLimits, anyLimits], flow: anyFlow, moves, runs: 5, moveCount: 30 });
  });

  it('wakes that go on to who can use them, where many wait for two keys and a throttle', () => {
    const value = fc.constantFrom('x', 'y', 'z');
    const flow = fc.tuple(value, value, fc.boolean()).map(([a, b, throttled]) => ({
      step: [
        { scope: 'fn', expression: 'a', value: a, limit: 1 } as const,
        { scope: 'env', expression: 'b', value: b, limit: 1 } as const,
      ],
      ...(throttled ? { throttle: { expression: 't', value: '' } } : {}),
    }));
    const limits = fc.tuple(upTo(2), upTo(2), fc.constantFrom(3, 8), fc.nat(1)).map(([a, b, periodMs, burst]) =>
      wide({
        step: [
          { scope: 'fn', expression: 'a', limit: a },
          { scope: 'env', expression: 'b', limit: b },
        ],
        throttle: { limit: 1, periodMs, burst },
      }),
    );
    const moves = [...often, ...often, 'claim', 'claim', 'complete', 'complete', 'complete', 'withdraw'] as const;
    keepsTo({ limits: [limits], flow, moves, runs: 8, moveCount: 50 });
  });

  it('all of it at once', () => keepsTo(ANYTHING));
});

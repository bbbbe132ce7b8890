import { describe, expect, it } from 'vitest';
import { aWorkItem } from '#testkit/work-item.js';
import { DEFAULT_ENV } from '../words.js';
import { bucketKey, throttleKey, type FlowKey, type FunctionLimits, type RunFlow } from './flow.js';
import { FlowModel } from './flow.model.js';
import type { Lease, WorkItem } from './flow.work.js';

const LEASE_MS = 30_000;
const NONE = { running: 0, ready: 0, later: 0 };

/** A queue and the time. */
class Story {
  readonly model = new FlowModel();
  now = 1_000_000;
  private tokens = 0;

  limits(limits: Partial<FunctionLimits>, functionId = 'f'): this {
    this.model.limits(functionId, { concurrency: 1_000, declared: false, ...limits }, this.now);
    return this;
  }

  put(...items: readonly WorkItem[]): this {
    this.model.enqueue(items, this.now, LEASE_MS);
    return this;
  }

  after(ms: number): this {
    this.now += ms;
    return this;
  }

  claim(): Lease | undefined {
    return this.model.claim(this.now, `token${this.tokens++}`, LEASE_MS);
  }

  lease(): Lease {
    const lease = this.claim();
    if (!lease) throw new Error('nothing may go');
    return lease;
  }

  /** Ids of all that may go now, in the order in which they go. */
  all(): string[] {
    const ids: string[] = [];
    for (let lease = this.claim(); lease; lease = this.claim()) ids.push(lease.item.id);
    return ids;
  }

  done(lease: Lease): this {
    this.model.complete(lease.token, this.now);
    return this;
  }

  waitOf(runId: string) {
    return this.model.ofRun(runId, this.now)[0]?.wait;
  }
}

const step = (value: string, more: Partial<FlowKey> = {}): FlowKey => {
  return { scope: 'fn', expression: 'customer', value, limit: 1, ...more };
};
const byCustomer = (limit: number) => ({ step: [{ scope: 'fn', expression: 'customer', limit }] }) as const;
const of = (...keys: readonly FlowKey[]): Partial<WorkItem> => ({ flow: { step: keys } });
const run = (value = 'x', limit = 1) => ({ scope: 'fn', expression: 'plan', value, limit }) as const;
const first = (flow: RunFlow, more: Partial<WorkItem> = {}): Partial<WorkItem> => ({ starts: true, flow, ...more });
const slot = (runId: string, key: FlowKey = run()) => ({ runId, env: DEFAULT_ENV, functionId: 'f', key });

describe('lines and turns', () => {
  it('hands out by rank, then by arrival', () => {
    const story = new Story().put(
      aWorkItem('young', { rank: 9 }),
      aWorkItem('old', { rank: 1 }),
      aWorkItem('old too', { rank: 1 }),
    );
    expect(story.all()).toEqual(['old', 'old too', 'young']);
  });

  it('holds back what is not due, to the millisecond; then it goes by its rank', () => {
    const story = new Story();
    story.put(aWorkItem('slept', { dueAt: story.now + 500, rank: 1 }), aWorkItem('young', { rank: 9 }));
    story.limits({ concurrency: 1 });
    const lease = story.lease();
    expect(lease.item.id).toBe('young');
    story
      .after(499)
      .done(lease)
      .put(aWorkItem('younger', { rank: 10 }));
    expect(story.model.nextAt()).toBe(story.now + 1);
    expect(story.after(1).all()).toEqual(['slept']);
  });

  it('gives each line its turn: a million items of one customer delay no other', () => {
    const many = Array.from({ length: 50 }, (_, n) => aWorkItem(`many${n}`, of(step('many'))));
    const story = new Story().put(...many, aWorkItem('few0', of(step('few'))), aWorkItem('few1', of(step('few'))));
    expect(story.all().slice(0, 5)).toEqual(['many0', 'few0', 'many1', 'few1', 'many2']);
  });

  it('gives each function its turn, however many lines another has', () => {
    const many = Array.from({ length: 50 }, (_, n) => aWorkItem(`many${n}`, of(step(`${n}`))));
    const story = new Story().put(
      ...many,
      aWorkItem('other0', { functionId: 'g' }),
      aWorkItem('other1', { functionId: 'g' }),
    );
    expect(story.all().slice(0, 5)).toEqual(['many0', 'other0', 'many1', 'other1', 'many2']);
  });

  it('lets one that was blocked go before those who had their turns meanwhile', () => {
    const story = new Story().limits(byCustomer(1)).put(aWorkItem('a0', of(step('a'))), aWorkItem('a1', of(step('a'))));
    const lease = story.lease();
    story.put(aWorkItem('b0', of(step('b'))), aWorkItem('c0', of(step('c'))));
    expect(story.all()).toEqual(['b0', 'c0']);
    story.done(lease).put(aWorkItem('d0', of(step('d'))));
    expect(story.all()).toEqual(['a1', 'd0']);
  });

  it('forgets what is complete or withdrawn, and lines and buckets with it', () => {
    const story = new Story().put(aWorkItem('a', of(step('x'))), aWorkItem('b', of(step('y'))));
    story.model.withdraw(['b', 'unknown']);
    story.done(story.lease());
    expect(story.claim()).toBeUndefined();
    expect(story.model.counts()).toEqual(NONE);
    expect(story.model.size).toEqual({ fns: 0, lines: 0, groups: 0, buckets: 0, throttles: 0 });
  });
});

describe('requests in progress', () => {
  it('are as many as the function allows, 1,000 where it says nothing', () => {
    const story = new Story().put(...Array.from({ length: 1_001 }, (_, n) => aWorkItem(`i${n}`)));
    expect(story.all()).toHaveLength(1_000);
  });

  it('are counted by key, and a freed slot is used at once', () => {
    const story = new Story().limits(byCustomer(1));
    story.put(aWorkItem('a0', of(step('a'))), aWorkItem('a1', of(step('a'))), aWorkItem('b0', of(step('b'))));
    const lease = story.lease();
    expect(story.all()).toEqual(['b0']);
    expect(story.done(lease).all()).toEqual(['a1']);
  });

  it('must have room behind every key', () => {
    const story = new Story().limits({
      step: [...byCustomer(2).step, { scope: 'env', expression: 'model', limit: 1 }],
    });
    const model = step('gpt', { scope: 'env', expression: 'model' });
    story.put(
      aWorkItem('a0', of(step('a'), model)),
      aWorkItem('b0', of(step('b'), model)),
      aWorkItem('a1', of(step('a'))),
    );
    expect(story.all()).toEqual(['a0', 'a1']);
  });

  it('share a bucket across functions, each with its own number', () => {
    const key = step('gpt', { scope: 'account', expression: 'model' });
    const declared = (limit: number) => ({ step: [{ scope: 'account', expression: 'model', limit }] }) as const;
    const story = new Story().limits(declared(1), 'f').limits(declared(2), 'g');
    const other = { functionId: 'g', env: 'another', ...of(key) };
    story.put(aWorkItem('f0', of(key)), aWorkItem('f1', of(key)), aWorkItem('g0', other), aWorkItem('g1', other));
    const lease = story.lease();
    expect([lease.item.id, ...story.all()]).toEqual(['f0', 'g0']);
    story.done(lease);
    expect(story.all()).toEqual(['g1']);
  });

  it('do not share what is not the same: another environment, another function, another expression', () => {
    const story = new Story().limits(byCustomer(1), 'f').limits(byCustomer(1), 'g');
    story.put(aWorkItem('f0', of(step('a'))), aWorkItem('g0', { functionId: 'g', ...of(step('a')) }));
    const env = (name: string) => ({ env: name, functionId: name, ...of(step('a', { scope: 'env' })) });
    for (const name of ['one', 'two']) story.limits({ step: [] }, name).put(aWorkItem(name, env(name)));
    story.put(aWorkItem('f1', of(step('a', { expression: 'other' }))));
    expect(story.all().sort()).toEqual(['f0', 'f1', 'g0', 'one', 'two']);
  });

  it('go by the present number for the expression, else by that of the key, else by none', () => {
    const put = (story: Story) =>
      story.put(...[0, 1, 2, 3].map((n) => aWorkItem(`i${n}`, of(step('a', { limit: 3 })))));
    expect(put(new Story().limits(byCustomer(2))).all()).toHaveLength(2);
    expect(put(new Story().limits({ step: [...byCustomer(2).step, ...byCustomer(1).step] })).all()).toHaveLength(1);
    expect(put(new Story().limits({ step: [] })).all()).toHaveLength(3);
    expect(put(new Story().limits({})).all()).toHaveLength(4);
  });

  it('pass a wake on when who was woken is stopped by another key', () => {
    const g = step('g', { scope: 'env', expression: 'model' });
    const story = new Story().limits({
      step: [...byCustomer(1).step, { scope: 'env', expression: 'model', limit: 1 }],
    });
    const [a, b] = [of(step('a'), g), of(step('b'), g)];
    story.put(aWorkItem('holds g', of(step('z'), g)));
    const lease = story.lease();
    story.put(aWorkItem('a waits', a), aWorkItem('b waits', b));
    expect(story.all()).toEqual([]);
    story.put(aWorkItem('holds a', of(step('a'))));
    expect(story.all()).toEqual(['holds a']);
    expect(story.done(lease).all()).toEqual(['b waits']);
  });

  it('wake another when who was woken is taken back', () => {
    const story = new Story().limits(byCustomer(1)).put(aWorkItem('a0', of(step('a'))));
    const lease = story.lease();
    const other = { ...of(step('a'), step('b', { expression: 'other' })) };
    story.put(aWorkItem('a1', of(step('a'))), aWorkItem('a2', other));
    expect(story.all()).toEqual([]);
    story.done(lease).model.withdraw(['a1']);
    expect(story.all()).toEqual(['a2']);
  });
});

describe('whole runs', () => {
  it('hold their slots from the first request to the end, whatever they do between', () => {
    const story = new Story().limits({ run: { expression: 'plan', limit: 1 } });
    story.put(aWorkItem('a', first({ run: run() })), aWorkItem('b', first({ run: run() })));
    const lease = story.lease();
    story.model.occupy([slot('run-a'), slot('run-a')]);
    expect(story.done(lease).all()).toEqual([]);
    story.put(aWorkItem('a later', { runId: 'run-a', flow: { run: run() } }));
    expect(story.all()).toEqual(['a later']);
    story.model.vacate(['run-a', 'run-a']);
    expect(story.all()).toEqual(['b']);
  });

  it('give the slot back when the first request is done or lost and nobody says that the run goes on', () => {
    const story = new Story().limits({ run: { expression: 'plan', limit: 1 } });
    story.put(aWorkItem('a', first({ run: run() })), aWorkItem('b', first({ run: run() })));
    expect(story.done(story.lease()).lease().item.id).toBe('b');
    expect(story.claim()).toBeUndefined();
    expect(story.after(LEASE_MS).all()).toEqual(['b']);
  });

  it('may exceed the number where they run already; then nobody starts', () => {
    const story = new Story().limits({ run: { expression: 'plan', limit: 2 } });
    story.model.occupy(['r1', 'r2', 'r3'].map((runId) => slot(runId)));
    story.put(aWorkItem('a', first({ run: run() })), aWorkItem('elsewhere', first({ run: run('y') })));
    expect(story.all()).toEqual(['elsewhere']);
    story.model.vacate(['r1']);
    expect(story.all()).toEqual([]);
    story.model.vacate(['r2']);
    expect(story.all()).toEqual(['a']);
  });

  it('that hold their slots do not wait for them: a first request whose lease was lost goes out again', () => {
    const story = new Story().limits({ run: { expression: 'plan', limit: 1 } });
    story.put(aWorkItem('a', first({ run: run() }, { rank: 9 })), aWorkItem('b', first({ run: run() }, { rank: 10 })));
    story.lease();
    story.model.occupy([slot('run-a')]);
    story.put(aWorkItem('older', first({ run: run() }, { rank: 1 })));
    expect(story.after(LEASE_MS).all()).toEqual(['a']);
  });

  it('let the others of their line go while no one can start; when both can, the lower rank goes', () => {
    const story = new Story().limits({ run: { expression: 'plan', limit: 1 } });
    story.model.occupy([slot('running')]);
    story.put(aWorkItem('start', first({ run: run() }, { rank: 2 })));
    story.put(aWorkItem('other', { flow: { run: run() }, rank: 3 }));
    expect(story.all()).toEqual(['other']);
    story.put(aWorkItem('other too', { flow: { run: run() }, rank: 3 })).model.vacate(['running']);
    expect(story.all()).toEqual(['start', 'other too']);
  });
});

describe('a throttle', () => {
  const throttle = { expression: 'user', value: 'u' };
  const key = throttleKey(DEFAULT_ENV, 'f', throttle);
  const starts = (from: number, to: number, flow: RunFlow = { throttle }) =>
    Array.from({ length: to - from }, (_, n) => aWorkItem(`i${from + n}`, first(flow)));

  it('lets so many start at once and then one for each interval', () => {
    const story = new Story().limits({ throttle: { limit: 3, periodMs: 6_000, burst: 0 } }).put(...starts(0, 7));
    expect(story.all()).toEqual(['i0', 'i1', 'i2']);
    expect(story.model.nextAt()).toBe(story.now + 2_000);
    expect(story.after(1_999).all()).toEqual([]);
    expect(story.after(1).all()).toEqual(['i3']);
    expect(story.after(2_000).all()).toEqual(['i4']);
    expect(story.after(4_000).all()).toEqual(['i5', 'i6']);
  });

  it('has a burst on top', () => {
    const story = new Story().limits({ throttle: { limit: 1, periodMs: 3_000, burst: 2 } }).put(...starts(0, 5));
    expect(story.all()).toHaveLength(3);
    expect(story.after(3_000).all()).toEqual(['i3']);
  });

  it('stops nothing but first requests', () => {
    const story = new Story().limits({ throttle: { limit: 1, periodMs: 3_000, burst: 0 } });
    story.put(...starts(0, 2), aWorkItem('step', { flow: { throttle }, rank: 5 }));
    expect(story.all()).toEqual(['i0', 'step']);
  });

  it('is charged when a run starts, not while something else holds it', () => {
    const story = new Story().limits({ concurrency: 1, throttle: { limit: 1, periodMs: 3_000, burst: 0 } });
    story.put(aWorkItem('busy'));
    const busy = story.lease();
    story.put(...starts(0, 2));
    expect(story.claim()).toBeUndefined();
    story.after(20_000).done(busy);
    const start = story.lease();
    expect(start.grant?.throttle).toEqual({ key, tat: story.now + 3_000 });
    expect(story.after(3_000).claim()).toBeUndefined();
    expect(story.done(start).all()).toEqual(['i1']);
  });

  it('only ever moves forward, and is forgotten when its time is past', () => {
    const story = new Story().limits({ throttle: { limit: 1, periodMs: 3_000, burst: 0 } });
    story.model.throttled([{ key, tat: story.now + 5_000 }]);
    story.model.throttled([{ key, tat: story.now + 1_000 }]);
    expect(story.put(...starts(0, 1)).all()).toEqual([]);
    expect(story.after(4_999).all()).toEqual([]);
    expect(story.after(1).all()).toEqual(['i0']);
    expect(story.model.size.throttles).toBe(1);
    story.after(3_000).model.advance(story.now);
    expect(story.model.size.throttles).toBe(0);
  });

  it('goes by its present numbers, and by none where none are declared', () => {
    const story = new Story().limits({ throttle: { limit: 1, periodMs: 60_000, burst: 0 } }).put(...starts(0, 4));
    expect(story.all()).toEqual(['i0']);
    story.limits({ throttle: { limit: 2, periodMs: 60_000, burst: 0 } });
    expect(story.model.nextAt()).toBeLessThanOrEqual(story.now + LEASE_MS);
    expect(story.after(29_999).all()).toEqual([]);
    expect(story.limits({}).all()).toEqual(['i1', 'i2', 'i3']);
  });

  it('lets one through that can go, where who stands first waits for something else', () => {
    const limits = { ...byCustomer(1), throttle: { limit: 1, periodMs: 1_000, burst: 0 } };
    const story = new Story().limits(limits).put(aWorkItem('a busy', of(step('a'))));
    story.lease();
    story.model.throttled([{ key, tat: story.now + 1_000 }]);
    const flow = (customer: string): RunFlow => ({ throttle, step: [step(customer)] });
    story.put(...starts(0, 1, flow('a')), ...starts(1, 2, flow('b')));
    expect(story.all()).toEqual([]);
    expect(story.after(1_000).all()).toEqual(['i1']);
  });
});

describe('numbers that change', () => {
  it('apply at once to what waits; what is under way is let finish', () => {
    const story = new Story().limits({ concurrency: 2 }).put(...[0, 1, 2, 3].map((n) => aWorkItem(`i${n}`)));
    const leases = [story.lease(), story.lease()];
    story.limits({ concurrency: 1 });
    expect(story.done(leases[0] as Lease).all()).toEqual([]);
    expect(story.done(leases[1] as Lease).all()).toEqual(['i2']);
    expect(story.limits({ concurrency: 5 }).all()).toEqual(['i3']);
  });

  it('apply to keys and to whole runs', () => {
    const story = new Story().limits({ ...byCustomer(1), run: { expression: 'plan', limit: 1 } });
    story.put(...['a0', 'a1', 'a2'].map((id) => aWorkItem(id, of(step('a')))));
    story.put(...['r0', 'r1', 'r2'].map((id) => aWorkItem(id, first({ run: run() }))));
    expect(story.all().sort()).toEqual(['a0', 'r0']);
    expect(
      story
        .limits({ ...byCustomer(2), run: { expression: 'plan', limit: 2 } })
        .all()
        .sort(),
    ).toEqual(['a1', 'r1']);
    expect(story.limits({}).all().sort()).toEqual(['a2', 'r2']);
  });

  it('pause a function: nothing goes out, what is out goes on', () => {
    const story = new Story().put(aWorkItem('a'), aWorkItem('b'), aWorkItem('other', { functionId: 'g' }));
    const lease = story.lease();
    story.limits({ paused: true });
    expect(story.all()).toEqual(['other']);
    expect(story.model.extend(lease.token, story.now, LEASE_MS)).toBe(story.now + LEASE_MS);
    expect(story.limits({}).all()).toEqual(['b']);
  });
});

describe('leases', () => {
  it('end: the slot comes back and the item is ready again', () => {
    const story = new Story().limits({ concurrency: 1 }).put(aWorkItem('a'));
    const lease = story.lease();
    expect(story.after(LEASE_MS - 1).all()).toEqual([]);
    expect(story.after(1).all()).toEqual(['a']);
    expect(story.model.extend(lease.token, story.now, LEASE_MS)).toBeUndefined();
    expect(story.model.complete(lease.token, story.now)).toBe(false);
    expect(story.model.counts()).toEqual({ running: 1, ready: 0, later: 0 });
  });

  it('of what was withdrawn do not end in another hand-out, unless it is owed again', () => {
    const story = new Story().put(aWorkItem('a'), aWorkItem('b'));
    story.all();
    story.model.withdraw(['a', 'b']);
    story.put(aWorkItem('b'));
    expect(story.after(LEASE_MS).all()).toEqual(['b']);
  });

  it('that were lost count for one lease, in every bucket, then the items go out again', () => {
    const story = new Story().limits({ ...byCustomer(1), run: { expression: 'plan', limit: 1 } });
    const flow = { step: [step('a')], run: run() };
    story.put(aWorkItem('lost', { ...first(flow), underWay: true }));
    story.put(aWorkItem('a', of(step('a'))), aWorkItem('r', first({ run: run() })), aWorkItem('free', of(step('b'))));
    expect(story.model.counts('f')).toEqual({ running: 1, ready: 3, later: 0 });
    expect(story.all()).toEqual(['free']);
    story.put(aWorkItem('free', { ...of(step('b')), underWay: true }));
    story.after(LEASE_MS - 1);
    expect(story.all()).toEqual([]);
    expect(story.after(1).all()).toHaveLength(3);
  });
});

describe('what is told', () => {
  it('a grant where a limit counts the item, and only there', () => {
    const grant = (limits: Partial<FunctionLimits>, more: Partial<WorkItem> = {}) =>
      new Story().limits(limits).put(aWorkItem('a', more)).claim()?.grant;
    expect(grant({})).toBeUndefined();
    expect(grant({}, of(step('a')))).toBeUndefined();
    expect(grant({ declared: true })).toEqual({});
    expect(grant(byCustomer(1), of(step('a')))).toEqual({});
    expect(grant({ run: { expression: 'plan', limit: 1 } }, first({ run: run() }))).toEqual({});
    expect(grant({ run: { expression: 'plan', limit: 1 } }, { flow: { run: run() } })).toBeUndefined();
  });

  it('how long an item had waited, and what held it last', () => {
    const story = new Story().limits({ ...byCustomer(1), concurrency: 5 });
    story.put(aWorkItem('a0', of(step('a'))), aWorkItem('a1', of(step('a'))));
    const lease = story.lease();
    expect([lease.grant, story.claim()]).toEqual([{}, undefined]);
    const waited = { ms: 700, cause: 'concurrency', expression: 'customer', key: 'a', limit: 1, inUse: 1 };
    expect(story.after(700).done(lease).claim()?.grant?.waited).toEqual(waited);
  });

  it('that the whole function, a pause, a throttle or nothing but its turn held it', () => {
    const waited = (hold: Partial<FunctionLimits>, free: Partial<FunctionLimits>, more: Partial<WorkItem> = {}) => {
      const story = new Story()
        .limits({ declared: true, ...hold })
        .put(aWorkItem('before', more), aWorkItem('it', more));
      story.claim();
      story.claim();
      story.after(200).limits({ declared: true, ...free });
      return story.claim()?.grant?.waited;
    };
    expect(waited({ concurrency: 1 }, {})).toEqual({ ms: 200, cause: 'concurrency', limit: 1, inUse: 1 });
    expect(waited({ paused: true }, {})).toEqual({ ms: 200, cause: 'paused' });
    const throttled = { throttle: { limit: 1, periodMs: 150, burst: 0 } };
    const throttle = { expression: 'user', value: 'u' };
    expect(waited(throttled, throttled, first({ throttle }))).toEqual({
      ms: 200,
      cause: 'throttle',
      expression: 'user',
      key: 'u',
      limit: 1,
      until: 1_000_150,
    });
    const story = new Story().limits({ declared: true }).put(aWorkItem('a')).after(5);
    expect(story.claim()?.grant).toEqual({ waited: { ms: 5, cause: 'turn' } });
  });

  it('what a run waits for, who is in its way, and its place', () => {
    const story = new Story().limits({ concurrency: 1 }).put(aWorkItem('a'), aWorkItem('b'), aWorkItem('c'));
    story.lease();
    const whole = { cause: 'concurrency', scope: 'fn', key: '', limit: 1, inUse: 1, holders: ['run-a'] };
    expect(story.waitOf('run-a')).toBeUndefined();
    expect(story.waitOf('run-c')).toEqual({ ...whole, place: 2 });
    story.limits({});
    expect(story.waitOf('run-c')).toEqual({ cause: 'turn', place: 2 });
    story.limits({ paused: true });
    expect(story.waitOf('run-b')).toEqual({ cause: 'paused', place: 1 });
  });

  it('the slots and the throttle that a run waits for', () => {
    const throttle = { expression: 'user', value: 'u' };
    const rate = { limit: 1, periodMs: 1_000, burst: 0 };
    const story = new Story().limits({ run: { expression: 'plan', limit: 1 }, throttle: rate });
    story.put(aWorkItem('a', first({ run: run(), throttle })), aWorkItem('b', first({ run: run(), throttle })));
    story.lease();
    story.model.occupy([slot('run-a')]);
    expect(story.waitOf('run-b')).toEqual({
      cause: 'run_concurrency',
      scope: 'fn',
      expression: 'plan',
      key: 'x',
      limit: 1,
      inUse: 1,
      holders: ['run-a'],
      place: 1,
    });
    story.model.vacate(['run-a']);
    const until = story.now + 1_000;
    expect(story.waitOf('run-b')).toEqual({
      cause: 'throttle',
      expression: 'user',
      key: 'u',
      ...rate,
      until,
      place: 1,
    });
  });

  it('the lines of a function, the longest first', () => {
    const story = new Story().limits(byCustomer(1));
    story.put(
      aWorkItem('a0', of(step('a'))),
      aWorkItem('b0', of(step('b'))),
      aWorkItem('b1', of(step('b'))),
      aWorkItem('b2', of(step('b'))),
    );
    story.put(aWorkItem('later', { dueAt: story.now + 90_000 }));
    story.all();
    const { lines, ...rest } = story.model.backlog('f', 1, story.now);
    expect(rest).toEqual({ running: 2, ready: 2, later: 1, lineCount: 2, nextAt: story.now + LEASE_MS });
    expect(lines).toEqual([
      {
        keys: [{ limit: 'step', expression: 'customer', value: 'b' }],
        ready: 2,
        running: 1,
        wait: {
          cause: 'concurrency',
          scope: 'fn',
          expression: 'customer',
          key: 'b',
          limit: 1,
          inUse: 1,
          holders: ['run-b0'],
          place: 1,
        },
      },
    ]);
    expect(story.model.backlog('unknown', 1, story.now)).toEqual({ ...NONE, lines: [], lineCount: 0 });
  });

  it('names buckets by what shares them', () => {
    const key = step('a', { scope: 'account' });
    expect(bucketKey('step', 'one', 'f', key)).toBe(bucketKey('step', 'two', 'g', key));
    expect(bucketKey('step', 'one', 'f', step('a'))).not.toBe(bucketKey('run', 'one', 'f', step('a')));
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cronEffects,
  cronKey,
  cronOwed,
  decideCron,
  evolveCron,
  type Calendar,
  type CronCommand,
  type CronDecision,
  type CronState,
} from './cron.aggregate.js';
import { jitterOf } from './cron.jitter.js';
import { cronNext } from './cron.next.js';

const MINUTE = 60_000;
const NOON = Date.UTC(2026, 10, 22, 12);
const CRON = '*/5 * * * *';
const base = { env: 'env', functionId: 'f1', cron: CRON } as const;
const calendar: Calendar = { next: cronNext, jitter: jitterOf };

function arm(at: number, functionVersion = 1, jitterMs?: number, cron: string = CRON): CronCommand {
  return { ...base, cron, type: 'ArmCron', at, functionVersion, ...(jitterMs === undefined ? {} : { jitterMs }) };
}

function tick(at: number, scheduledAt: number, jitterMs?: number, cron: string = CRON): CronCommand {
  return { ...base, cron, type: 'TickCron', at, scheduledAt, ...(jitterMs === undefined ? {} : { jitterMs }) };
}

function disarm(at: number): CronCommand {
  return { ...base, type: 'DisarmCron', at };
}

function decide(state: CronState | undefined, command: CronCommand): CronDecision {
  return decideCron(state, command, calendar);
}

function after(...commands: readonly CronCommand[]): CronState | undefined {
  return commands.reduce<CronState | undefined>((state, command) => decide(state, command).next, undefined);
}

/** The jitter's offset of an occurrence. */
function offset(scheduledAt: number, jitterMs: number): number {
  return jitterOf('f1', CRON, scheduledAt, jitterMs);
}

describe('a cron', () => {
  it('is armed for its next occurrence, and owes its tick', () => {
    const state = after(arm(NOON + 1));
    expect(state).toEqual({
      env: 'env',
      functionId: 'f1',
      functionVersion: 1,
      cron: CRON,
      scheduledAt: NOON + 5 * MINUTE,
      fireAt: NOON + 5 * MINUTE,
    });
    expect(cronOwed(state)).toEqual([{ kind: 'tick', id: cronKey('env', 'f1', CRON), at: NOON + 5 * MINUTE }]);
  });

  it('is armed once for a version', () => {
    const state = after(arm(NOON));
    const decision = decide(state, arm(NOON + 7 * MINUTE));
    expect(decision).toEqual({ transitions: [], next: state, ignored: 'cron_unchanged' });
  });

  it('ticks: the event of the occurrence, and the next one counted from its scheduled time', () => {
    const decision = decide(after(arm(NOON)), tick(NOON + 5 * MINUTE + 40, NOON + 5 * MINUTE));
    expect(decision.transitions).toEqual([
      {
        type: 'CronTicked',
        at: NOON + 5 * MINUTE + 40,
        functionId: 'f1',
        cron: CRON,
        scheduledAt: NOON + 5 * MINUTE,
        fireAt: NOON + 5 * MINUTE,
        next: { scheduledAt: NOON + 10 * MINUTE, fireAt: NOON + 10 * MINUTE },
      },
    ]);
    expect(cronOwed(decision.next)).toMatchObject([{ at: NOON + 10 * MINUTE }]);
    const [effect] = cronEffects(decision.transitions, tick(0, 0));
    if (effect?.kind !== 'event') throw new Error('no event');
    expect(effect.event).toMatchObject({
      name: 'inngest/scheduled.timer',
      id: 'f1@2026-11-22T12:05:00.000Z',
      ts: NOON + 5 * MINUTE,
      receivedAt: NOON + 5 * MINUTE + 40,
      internal: { kind: 'cron', functionId: 'f1', scheduledAt: NOON + 5 * MINUTE },
    });
    expect(JSON.parse(effect.event.payload)).toMatchObject({
      data: { cron: CRON, scheduledAt: '2026-11-22T12:05:00Z', fireAt: '2026-11-22T12:05:00Z' },
    });
  });

  it('ticks once for an occurrence, with any number of clocks', () => {
    const state = after(arm(NOON), tick(NOON + 5 * MINUTE, NOON + 5 * MINUTE));
    expect(decide(state, tick(NOON + 5 * MINUTE, NOON + 5 * MINUTE)).ignored).toBe('tick_unknown');
    expect(decide(state, tick(NOON + 6 * MINUTE, NOON + 5 * MINUTE)).ignored).toBe('tick_unknown');
  });

  it('is never early', () => {
    const state = after(arm(NOON));
    expect(decide(state, tick(NOON + 5 * MINUTE - 1, NOON + 5 * MINUTE)).ignored).toBe('timer_early');
  });

  it('that was due while nothing ran fires once, and what was missed with it is not caught up', () => {
    const state = after(arm(NOON));
    const decision = decide(state, tick(NOON + 63 * MINUTE, NOON + 5 * MINUTE));
    expect(decision.transitions).toMatchObject([{ scheduledAt: NOON + 5 * MINUTE }]);
    expect(decision.next).toMatchObject({ scheduledAt: NOON + 65 * MINUTE });
    expect(decide(state, tick(NOON + 60 * MINUTE, NOON + 5 * MINUTE)).next).toMatchObject({
      scheduledAt: NOON + 60 * MINUTE,
    });
  });

  it('of an impossible date never fires', () => {
    const state = after(arm(NOON, 1, undefined, '0 0 31 2 *'));
    expect(state).toEqual({ env: 'env', functionId: 'f1', functionVersion: 1, cron: '0 0 31 2 *' });
    expect(cronOwed(state)).toEqual([]);
    expect(decide(state, tick(NOON, NOON, undefined, '0 0 31 2 *')).ignored).toBe('tick_unknown');
  });

  it('that is disarmed ticks no more', () => {
    const state = after(arm(NOON), disarm(NOON + 1));
    expect(state).toBeUndefined();
    expect(cronOwed(state)).toEqual([]);
    expect(decide(state, tick(NOON + 5 * MINUTE, NOON + 5 * MINUTE)).ignored).toBe('cron_unknown');
    expect(decide(state, disarm(NOON + 2)).ignored).toBe('cron_unknown');
    expect(after(arm(NOON), disarm(NOON + 1), arm(NOON + 2))).toMatchObject({ scheduledAt: NOON + 5 * MINUTE });
  });
});

describe('a cron with jitter', () => {
  const jitter = 60_000;

  it('fires that much later, the same for the same occurrence', () => {
    const state = after(arm(NOON, 1, jitter));
    const due = NOON + 5 * MINUTE;
    expect(state).toMatchObject({ scheduledAt: due, fireAt: due + offset(due, jitter) });
    expect(offset(due, jitter)).toBeGreaterThanOrEqual(1_000);
    expect(after(arm(NOON + 77, 1, jitter))).toEqual(state);
  });

  it('is not early for its scheduled time, but for the time that it fires', () => {
    const state = after(arm(NOON, 1, jitter));
    const due = NOON + 5 * MINUTE;
    const fireAt = due + offset(due, jitter);
    expect(decide(state, tick(due, due, jitter)).ignored).toBe('timer_early');
    expect(decide(state, tick(fireAt - 1, due, jitter)).ignored).toBe('timer_early');
    expect(decide(state, tick(fireAt, due, jitter)).transitions).toMatchObject([{ scheduledAt: due, fireAt }]);
  });

  it('that is taken away before the occurrence fires on time', () => {
    const state = after(arm(NOON, 1, jitter), arm(NOON + MINUTE, 2));
    expect(state).toMatchObject({ scheduledAt: NOON + 5 * MINUTE, fireAt: NOON + 5 * MINUTE });
  });

  it('that is changed behind the scheduled time stays for that occurrence: a sync must not skip it', () => {
    const due = NOON + 5 * MINUTE;
    const state = after(arm(NOON, 1, jitter), arm(due + 10, 2));
    expect(state).toMatchObject({ functionVersion: 2, scheduledAt: due, fireAt: due + offset(due, jitter) });
  });

  it('longer than its period skips nothing', () => {
    const every = '* * * * *';
    const long = 5 * MINUTE;
    let state = after(arm(NOON, 1, long, every));
    let now = NOON;
    const fired: number[] = [];
    for (let n = 0; n < 50; n++) {
      const { scheduledAt = 0, fireAt = 0 } = state ?? {};
      now = Math.max(now, fireAt);
      expect(now - scheduledAt).toBeLessThan(long);
      fired.push(scheduledAt);
      state = decide(state, tick(now, scheduledAt, long, every)).next;
    }
    expect(fired).toEqual(Array.from({ length: 50 }, (_, n) => NOON + (n + 1) * MINUTE));
  });
});

describe('a sync', () => {
  it('of a new version takes the clockwork over', () => {
    const state = after(arm(NOON), arm(NOON + MINUTE, 2));
    expect(state).toMatchObject({ functionVersion: 2, scheduledAt: NOON + 5 * MINUTE });
    expect(cronOwed(state)).toHaveLength(1);
  });

  it('does not skip an occurrence that is due', () => {
    const due = NOON + 5 * MINUTE;
    const state = after(arm(NOON), arm(due, 2));
    expect(state).toMatchObject({ functionVersion: 2, scheduledAt: due, fireAt: due });
    expect(decide(state, tick(due + 30, due)).transitions).toHaveLength(1);
  });

  it('does not bring back what has ticked', () => {
    const due = NOON + 5 * MINUTE;
    expect(after(arm(NOON), tick(due, due), arm(due, 2))).toMatchObject({ scheduledAt: due + 5 * MINUTE });
  });
});

const anyCommand: fc.Arbitrary<CronCommand> = fc
  .record({
    minutes: fc.nat(40),
    late: fc.nat(120_000),
    kind: fc.constantFrom('arm', 'tick', 'tick', 'disarm'),
    version: fc.integer({ min: 1, max: 3 }),
    jitterMs: fc.constantFrom(undefined, 1_000, 30_000, 300_000),
  })
  .map(({ minutes, late, kind, version, jitterMs }) => {
    const scheduledAt = NOON + minutes * MINUTE;
    if (kind === 'arm') return arm(scheduledAt + late, version, jitterMs);
    return kind === 'tick' ? tick(scheduledAt + late, scheduledAt, jitterMs) : disarm(scheduledAt);
  });

it('is the fold of its transitions, owes a tick while it has a next occurrence, and ticks each occurrence once', () =>
  fc.assert(
    fc.property(fc.array(anyCommand, { maxLength: 40 }), (commands) => {
      let state: CronState | undefined;
      let folded: CronState | undefined;
      for (const command of [...commands].sort((a, b) => a.at - b.at)) {
        const before = state;
        const decision = decide(before, command);
        state = decision.next;
        folded = decision.transitions.reduce((last, t) => evolveCron(last, t, 'env'), folded);
        expect(folded).toEqual(state);
        expect(cronOwed(state)).toHaveLength(state === undefined ? 0 : 1);
        expect(decide(state, command).transitions).toEqual([]);
        for (const t of decision.transitions) {
          if (t.type !== 'CronTicked') continue;
          expect(before?.scheduledAt).toBe(t.scheduledAt);
          expect(t.at).toBeGreaterThanOrEqual(t.fireAt);
          expect(state?.scheduledAt).toBeGreaterThan(t.scheduledAt);
        }
      }
    }),
    { numRuns: 500 },
  ));

import { expect } from 'vitest';
import type { AdmissionTransition } from '#core/admission/admission.js';
import type { RunTransition } from '#core/run/run.transitions.js';
import type { EpochMs } from '#core/words.js';
import type { Entry } from '../harness/sdk-app.process.js';
import type { Told } from './log.stories.js';
import { APP, TENANTS, type SentEvent } from './limits.load.js';

type Scheduled = Extract<RunTransition, { type: 'RunScheduled' }>;

interface Wave {
  readonly at: EpochMs;
  readonly by: 1 | -1;
}

/** What the functions of `limits.functions.mjs` came to: what the app saw call by call, and what was decided by the log. */
export class LimitsBook {
  private readonly runs: ReadonlyMap<string, Scheduled>;

  constructor(
    private readonly sent: readonly SentEvent[],
    private readonly calls: readonly Entry[],
    private readonly told: readonly Told[],
  ) {
    const scheduled = told.flatMap(({ runId, transition }) =>
      transition.type === 'RunScheduled' && transition.functionSlug.startsWith(`${APP}-`)
        ? [[runId, transition] as const]
        : [],
    );
    this.runs = new Map(scheduled);
  }

  everyRunEnds(): void {
    const byRun = Map.groupBy(this.told, ({ runId }) => runId);
    for (const runId of this.runs.keys()) {
      const own = (byRun.get(runId) ?? []).map(({ transition }) => transition);
      const ends = own.filter(({ type }) => ENDS.test(type));
      expect(ends, `run ${runId} of ${this.slugOf(runId)} ends once`).toHaveLength(1);
      const results = own.flatMap((it) => (it.type === 'StepCompleted' || it.type === 'StepFailed' ? [it.stepId] : []));
      expect(new Set(results).size).toBe(results.length);
    }
  }

  everyEventHasOneRunOf(fn: string): void {
    const started = this.runsOf(fn).flatMap((runId) => this.runs.get(runId)?.eventIds ?? []);
    expect(started.toSorted(), fn).toEqual(this.allSent());
  }

  /**
   * Requests in progress never exceed a limit, of a key and of the account.
   * @param inOrder calls come to the app in the order in which they were handed out: not where executors, each with its own way to the log,
   * say first that they call
   */
  concurrencyHolds({ inOrder }: { readonly inOrder: boolean }): void {
    expect(this.calls.length).toBeGreaterThan(0);
    for (const tenant of TENANTS) {
      expect(this.most(['keyed'], ['keyed'], tenant), `keyed ${tenant}`).toBeLessThanOrEqual(2);
      expect(this.most(['latest'], ['latest'], tenant), `latest ${tenant}`).toBeLessThanOrEqual(1);
      expect(this.most(['mixed'], ['mixed'], tenant), `mixed ${tenant}`).toBeLessThanOrEqual(1);
    }
    expect(this.most(['throttled'], ['throttled']), 'throttled').toBeLessThanOrEqual(2);
    // One count, and each function has a number of its own for it.
    expect(this.most(['keyed', 'shared'], ['keyed', 'shared']), 'all').toBeLessThanOrEqual(5);
    expect(this.most(['shared'], ['shared']), 'shared').toBeLessThanOrEqual(3);
    if (inOrder) expect(this.most(['shared'], ['keyed', 'shared']), 'shared of all').toBeLessThanOrEqual(3);
  }

  wholeRunsHold(): void {
    expect(this.together('whole', 'RunStarted'), 'whole').toBeLessThanOrEqual(2);
    for (const tenant of TENANTS) {
      // One, and one that is skipped for it.
      expect(this.together('single', 'RunScheduled', tenant), `single ${tenant}`).toBeLessThanOrEqual(2);
      expect(this.together('latest', 'RunStarted', tenant), `latest ${tenant}`).toBeLessThanOrEqual(1);
    }
  }

  throttleHolds(): void {
    const intervalMs = 2_000 / 3;
    const spent = this.decisionsOf('throttled').filter((it) => it.type === 'ThrottleSpent');
    const startedRuns = new Set(
      this.told.flatMap(({ runId, transition }) => (transition.type === 'RunStarted' ? [runId] : [])),
    );
    expect(spent.map(({ runId }) => runId).toSorted()).toEqual(
      this.runsOf('throttled')
        .filter((runId) => startedRuns.has(runId))
        .toSorted(),
    );
    for (const [i, { at, tat }] of spent.entries()) {
      expect(tat - at, 'four at once').toBeLessThanOrEqual(4 * intervalMs + 1);
      if (i > 0) expect(tat - (spent[i - 1]?.tat ?? 0), 'and one for each interval').toBeGreaterThan(intervalMs - 1);
    }
  }

  /** An event is charged once, and has a run where it was not over the limit. */
  rateLimitHolds(): void {
    for (const fn of ['rated', 'once']) {
      const decided = this.decisionsOf(fn).filter((it) => 'nextAt' in it);
      expect(decided.map(({ eventId }) => eventId).toSorted(), fn).toEqual(this.allSent());
      const charged = decided.filter(({ type }) => type === 'RateCharged').map(({ eventId }) => eventId);
      const started = this.runsOf(fn).flatMap((runId) => this.runs.get(runId)?.eventIds ?? []);
      expect(started.toSorted(), fn).toEqual(charged.toSorted());
    }
    const orders = this.runsOf('once').map((runId) => (this.eventOf(runId) as { data: { order: string } }).data.order);
    expect(orders.toSorted()).toEqual([...new Set(this.sent.map(({ order }) => order))].toSorted());
  }

  /** Each event has fired, or another took its place. */
  debounceLosesNothing(): void {
    const decisions = this.decisionsOf('debounced');
    const arrived = decisions.filter(({ type }) => /^Debounce(Opened|Moved|Outdated)$/.test(type));
    expect(arrived).toHaveLength(this.sent.length);
    const fired = decisions.filter((it) => it.type === 'DebounceFired');
    expect(fired.reduce((sum, { superseded }) => sum + superseded + 1, 0)).toBe(this.sent.length);
    expect(fired.map(({ runId }) => runId).toSorted()).toEqual(this.runsOf('debounced').toSorted());
  }

  /** A batch loses and doubles no event, and keeps their order. */
  batchesHold(): void {
    const batches = this.runsOf('batched').map((runId) => this.runs.get(runId)?.eventIds ?? []);
    expect(batches.flat().toSorted()).toEqual(this.allSent());
    for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(4);
    const joined = new Map<string, number>();
    for (const [at, { transition }] of this.told.entries())
      if (transition.type === 'BatchOpened' || transition.type === 'BatchJoined') joined.set(transition.eventId, at);
    for (const batch of batches) {
      const places = batch.map((eventId) => joined.get(eventId) ?? -1);
      expect(places).toEqual(places.toSorted((a, b) => a - b));
    }
  }

  /** Who is skipped is told for whom, and of many in a row the last one lives. */
  singletonsHold(): void {
    const skipped = this.told.filter(({ transition }) => transition.type === 'RunSkipped');
    expect(skipped.length).toBeGreaterThan(0);
    for (const { transition } of skipped)
      expect(transition).toMatchObject({ reason: 'singleton', blockedBy: expect.any(String) as string });
    for (const tenant of TENANTS) {
      const last = this.runsOf('latest')
        .filter((runId) => this.tenantOf(runId) === tenant)
        .at(-1);
      const completed = this.told.some(({ runId, transition }) => runId === last && transition.type === 'RunCompleted');
      expect(completed, tenant).toBe(true);
    }
  }

  private allSent(): readonly string[] {
    return this.sent.map(({ internalId }) => internalId).toSorted();
  }

  private slugOf(runId: string): string | undefined {
    return this.runs.get(runId)?.functionSlug.slice(APP.length + 1);
  }

  private runsOf(fn: string): readonly string[] {
    return [...this.runs.keys()].filter((runId) => this.slugOf(runId) === fn);
  }

  private decisionsOf(fn: string): readonly AdmissionTransition[] {
    const id = [...this.runs.values()].find((run) => run.functionSlug === `${APP}-${fn}`)?.functionId;
    return this.told.flatMap(({ transition }) =>
      isDecision(transition) && transition.functionId === id ? [transition] : [],
    );
  }

  /** Requests in progress as the app counts them, the most at any instant after one more of `of` came. */
  private most(of: readonly string[], counted: readonly string[], key?: string): number {
    let inProgress = 0;
    let peak = 0;
    for (const { kind, fn, ...entry } of this.calls) {
      if (!counted.includes(fn) || (key !== undefined && entry['key'] !== key)) continue;
      inProgress += kind === 'call' ? 1 : -1;
      if (kind === 'call' && of.includes(fn)) peak = Math.max(peak, inProgress);
    }
    return peak;
  }

  /** How many runs of a function there were at a time, by what begins and what ends one. */
  private together(fn: string, begins: RunTransition['type'], key?: string): number {
    const mine = new Set(this.runsOf(fn).filter((runId) => key === undefined || this.tenantOf(runId) === key));
    const waves = this.told.flatMap(({ runId, at, transition }): readonly Wave[] => {
      if (!mine.has(runId)) return [];
      if (transition.type === begins) return [{ at, by: 1 }];
      return ENDS.test(transition.type) ? [{ at, by: -1 }] : [];
    });
    let now = 0;
    return Math.max(0, ...waves.toSorted((a, b) => a.at - b.at || a.by - b.by).map(({ by }) => (now += by)));
  }

  private tenantOf(runId: string): string {
    return (this.eventOf(runId) as { data: { key: string } }).data.key;
  }

  private eventOf(runId: string): unknown {
    return JSON.parse(this.runs.get(runId)?.events[0] ?? '{}');
  }
}

const ENDS = /^Run(Completed|Failed|Cancelled|Skipped)$/;

function isDecision(transition: Told['transition']): transition is AdmissionTransition {
  return 'functionId' in transition && !('functionSlug' in transition);
}

/** Debounces and batches that have opened and not fired. */
export function stillOpen(told: readonly Told[]): number {
  let open = 0;
  for (const { transition } of told) {
    if (transition.type === 'BatchOpened' || transition.type === 'DebounceOpened') open++;
    if (transition.type === 'BatchFired' || transition.type === 'DebounceFired') open--;
  }
  return open;
}

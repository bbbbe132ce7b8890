import type { Run } from '#core/run/run.state.js';
import type { CronState } from '#core/cron/cron.aggregate.js';
import { settlement } from '#core/run/run.owed.js';
import type { Pause, PauseIndex } from '#ports/pause-index.port.js';
import type { RunSlot, WorkItem, WorkQueue } from '#ports/work-queue.port.js';
import type { Timers } from '../clock/timers.js';
import type { Alarm } from '../clock/alarms.js';
import type { Aggregate, AnyRoom, OwedItem } from './room.js';

/**
 * Puts out what is owed and takes back what is no longer owed. Gathers over a batch, then goes out in an order that loses nothing:
 * pauses before the work that may answer them.
 */
export class Hands {
  private readonly workOut = new Map<string, WorkItem>();
  private readonly workBack = new Set<string>();
  private readonly slotsOut = new Map<string, RunSlot>();
  private readonly slotsBack = new Set<string>();
  private readonly throttles = new Map<string, number>();
  private readonly pausesOut = new Map<string, Pause>();
  private readonly pausesBack = new Set<string>();

  constructor(
    private readonly queue: WorkQueue,
    private readonly pauses: PauseIndex,
    private readonly timers: Timers<Alarm>,
  ) {}

  settle(
    room: AnyRoom,
    id: string,
    state: Aggregate | undefined,
    before: readonly OwedItem[],
    after: readonly OwedItem[],
  ): void {
    const { out, back } = settlement(before, after);
    for (const item of back) this.takeBack(item);
    for (const item of out) this.putOut(id, state, item);
  }

  async flush(): Promise<void> {
    if (this.workBack.size > 0) await this.queue.withdraw(drain(this.workBack));
    if (this.slotsBack.size > 0) await this.queue.vacate(drain(this.slotsBack));
    if (this.slotsOut.size > 0) await this.queue.occupy(drainValues(this.slotsOut));
    if (this.throttles.size > 0) {
      const states = [...this.throttles].map(([key, tat]) => ({ key, tat }));
      this.throttles.clear();
      await this.queue.throttled(states);
    }
    if (this.pausesBack.size > 0) await this.pauses.remove(drain(this.pausesBack));
    if (this.pausesOut.size > 0) await this.pauses.add(drainValues(this.pausesOut));
    if (this.workOut.size > 0) await this.queue.enqueue(drainValues(this.workOut));
  }

  private takeBack(item: OwedItem): void {
    switch (item.kind) {
      case 'work':
        if (!this.workOut.delete(item.id)) this.workBack.add(item.id);
        return;
      case 'pause':
        this.pausesOut.delete(item.id);
        this.pausesBack.add(item.id);
        return;
      case 'slot':
        this.slotsOut.delete(item.runId);
        this.slotsBack.add(item.runId);
        return;
      case 'spent':
        return; // A throttle only moves on: the queue lets go of it by itself.
      case 'timer':
      case 'tick':
      case 'admission':
        this.timers.clear(item.id);
    }
  }

  private putOut(id: string, state: Aggregate | undefined, item: OwedItem): void {
    switch (item.kind) {
      case 'work':
        this.workBack.delete(item.id);
        this.workOut.set(item.id, workItem(state as Run, item));
        return;
      case 'pause':
        this.pausesBack.delete(item.id);
        this.pausesOut.set(item.id, pause(state as Run, item));
        return;
      case 'slot': {
        const { env, functionId } = state as Run;
        this.slotsBack.delete(id);
        this.slotsOut.set(id, { runId: id, env, functionId, key: item.key });
        return;
      }
      case 'spent':
        this.throttles.set(item.id, item.at);
        return;
      case 'admission':
        this.timers.set(item.id, item.at, { kind: 'admission', key: item.key, turn: item.turn });
        return;
      case 'timer': {
        const { env, functionId } = state as Run;
        const stepId = item.stepId === undefined ? {} : { stepId: item.stepId };
        this.timers.set(item.id, item.at, { kind: 'run', runId: id, env, functionId, timer: item.timer, ...stepId });
        return;
      }
      case 'tick':
        this.timers.set(item.id, item.at, { kind: 'cron', key: id, state: state as CronState });
    }
  }
}

function workItem(run: Run, { id, at, call }: Extract<OwedItem, { kind: 'work' }>): WorkItem {
  const { flow } = run;
  return {
    id,
    env: run.env,
    runId: run.id,
    functionId: run.functionId,
    kind: call.gateway ? 'gateway' : 'call',
    target: call.target,
    seq: call.seq,
    generation: call.generation,
    attempt: call.attempt,
    dueAt: at,
    rank: run.createdAt - (flow?.priority ?? 0) * 1_000,
    ...(flow === undefined ? {} : { flow }),
    ...(run.state === 'queued' ? { starts: true } : {}),
    ...(call.lease === undefined ? {} : { underWay: true }),
  };
}

export function pause(run: Run, { id, pause: owed }: Extract<OwedItem, { kind: 'pause' }>): Pause {
  return {
    id,
    env: run.env,
    kind: owed.kind,
    runId: run.id,
    ...(owed.stepId === undefined ? {} : { stepId: owed.stepId }),
    event: owed.event,
    ...(owed.expression === undefined ? {} : { expression: owed.expression }),
    trigger: run.events[0] ?? '{}',
    since: owed.since,
    until: owed.until,
    notEvents: run.eventIds,
  };
}

function drain(set: Set<string>): string[] {
  const all = [...set];
  set.clear();
  return all;
}

function drainValues<T>(map: Map<string, T>): T[] {
  const all = [...map.values()];
  map.clear();
  return all;
}

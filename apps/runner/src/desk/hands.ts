import type { Run } from '#core/run/run.state.js';
import type { CronState } from '#core/cron/cron.aggregate.js';
import { settlement } from '#core/run/run.owed.js';
import type { Position } from '#core/words.js';
import type { Pause, PauseIndex } from '#ports/pause-index.port.js';
import type { RunView, RunViews } from '#ports/run-views.port.js';
import type { QueueChange, RunSlot, Stretch, WorkItem, WorkQueue } from '#ports/work-queue.port.js';
import type { Timers } from '../clock/timers.js';
import type { Alarm } from '../clock/alarms.js';
import type { Aggregate, AnyRoom, OwedItem } from './room.js';

/** Where hands put things. */
export interface Reach {
  readonly queue: WorkQueue;
  readonly pauses: PauseIndex;
  /** Absent: nobody outside this process looks at its runs. */
  readonly views?: RunViews | undefined;
}

/**
 * Puts out what is owed and takes back what is no longer owed. Gathers over a batch, then goes out in an order that loses nothing: pauses
 * before the work that may answer them, a run before its work. What does not get out stays gathered; nothing is gathered
 * while a flush is under way.
 */
export class Hands {
  private readonly workOut = new Map<string, WorkItem>();
  private readonly workBack = new Set<string>();
  private readonly slotsOut = new Map<string, RunSlot>();
  private readonly slotsBack = new Set<string>();
  private readonly throttles = new Map<string, number>();
  private readonly pausesOut = new Map<string, Pause>();
  private readonly pausesBack = new Set<string>();
  private readonly shown = new Map<string, RunView>();

  constructor(
    private readonly reach: Reach,
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

  /** The run as it stands goes out with the next flush. @param at the first command that it does not reflect */
  show(run: Run, at: Position): void {
    if (this.reach.views) this.shown.set(run.id, { run, at });
  }

  /** A watch that was put out for a run that needs none. */
  unwatch(ids: readonly string[]): void {
    for (const id of ids) {
      this.pausesOut.delete(id);
      this.pausesBack.add(id);
    }
  }

  /** What changed by a stretch of commands. @throws state_unavailable: call it again; state_lost: everything is to be put out again */
  async flush(stretch: Stretch): Promise<void> {
    await this.prepare();
    await this.reach.queue.settle(this.gathered(), stretch);
    this.letGo();
  }

  /** A part of everything that a partition is owed. @throws state_unavailable: call it again */
  async restore(partition: number): Promise<void> {
    await this.prepare();
    await this.reach.queue.restore(partition, this.gathered());
    this.letGo();
  }

  /** What has been gathered is out already. Timers, which are set at once, stay. */
  forget(): void {
    this.letGo();
    this.pausesOut.clear();
    this.pausesBack.clear();
    this.shown.clear();
  }

  private async prepare(): Promise<void> {
    const { pauses, views } = this.reach;
    if (this.pausesBack.size > 0) {
      await pauses.remove([...this.pausesBack]);
      this.pausesBack.clear();
    }
    if (this.pausesOut.size > 0) {
      await pauses.add([...this.pausesOut.values()]);
      this.pausesOut.clear();
    }
    if (views && this.shown.size > 0) {
      await views.show([...this.shown.values()]);
      this.shown.clear();
    }
  }

  private gathered(): QueueChange {
    return {
      withdraw: [...this.workBack],
      vacate: [...this.slotsBack],
      occupy: [...this.slotsOut.values()],
      throttled: [...this.throttles].map(([key, tat]) => ({ key, tat })),
      enqueue: [...this.workOut.values()],
    };
  }

  private letGo(): void {
    for (const gathered of [this.workBack, this.slotsBack, this.slotsOut, this.throttles, this.workOut])
      gathered.clear();
  }

  private takeBack(item: OwedItem): void {
    switch (item.kind) {
      case 'work':
        if (!this.workOut.delete(item.id)) this.workBack.add(item.id);
        return;
      case 'pause':
        this.unwatch([item.id]);
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

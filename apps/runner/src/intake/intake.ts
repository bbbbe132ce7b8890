import type { InternalEvent, StoredEvent } from '#core/event/event.js';
import { derivedUlid } from '#core/event/event.ids.js';
import type { FunctionVersion } from '#core/function/function.config.js';
import { LIMITS } from '#core/limits.js';
import { TriggerIndex } from '#core/match/trigger.index.js';
import { invokeUnknown } from '#core/run/run.memos.js';
import { cancelWatchId } from '#core/run/run.owed.js';
import { scheduleRun } from '#core/run/run.schedule.js';
import type { CancelWatch, ScheduleRun } from '#core/run/run.commands.js';
import type { Placed, Position } from '#core/words.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog, LogRecord, PlacedRecord } from '#ports/event-log.port.js';
import type { Addressed } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { Pause, PauseIndex } from '#ports/pause-index.port.js';
import type { SeenEvent, SeenEvents } from '#ports/seen-events.port.js';
import { deadLetter, recordOfCommand, recordOfDeadLetter } from '#ports/records.js';

/**
 * Takes the events of a partition in log order: which functions they trigger, which waits they resolve, which runs they cancel. All of it
 * becomes commands; the position is saved after those are durable. A crash in between posts the same commands again.
 */
export class Intake {
  private triggers = new TriggerIndex([]);
  private revision = -1;

  constructor(
    private readonly log: EventLog,
    private readonly seen: SeenEvents,
    private readonly pauses: PauseIndex,
    private readonly catalog: Catalog,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** Where to go on. */
  position(): Promise<Position | undefined> {
    return this.seen.position();
  }

  async take(batch: readonly PlacedRecord[]): Promise<void> {
    const commands: Addressed[] = [];
    const entries = new Map<string, SeenEvent>();
    const letters: LogRecord[] = [];
    for (const record of batch) {
      try {
        await this.one(record as Placed<PlacedRecord<StoredEvent>>, commands, entries);
      } catch (error) {
        letters.push(recordOfDeadLetter(deadLetter(record, 'intake', error), record.env, this.clock.now()));
        this.logger.error({ err: error, offset: record.position.offset }, 'event set aside: it cannot be processed');
      }
    }
    const records = [...letters, ...commands.map(({ key, command }) => recordOfCommand(key, command))];
    if (records.length > 0) await this.log.append(records);
    const last = batch.at(-1);
    if (last)
      await this.seen.commit(
        [...entries.values()],
        { ...last.position, offset: last.position.offset + 1 },
        this.clock.now(),
      );
  }

  private async one(
    record: PlacedRecord<StoredEvent>,
    commands: Addressed[],
    entries: Map<string, SeenEvent>,
  ): Promise<void> {
    const event = record.body;
    if (!event) return;
    const invoke = event.internal?.kind === 'invoke' ? event.internal : undefined;
    if (invoke) await this.invoke(event, invoke, record.position, commands, entries);
    else await this.trigger(event, record.position, commands, entries);
    await this.match(event, commands);
  }

  private async trigger(
    event: StoredEvent,
    position: Position,
    commands: Addressed[],
    entries: Map<string, SeenEvent>,
  ): Promise<void> {
    const fired = event.internal?.kind === 'cron' ? event.internal : undefined;
    const started = new Set<string>();
    if (fired) {
      const fn = this.catalog.function(fired.functionId);
      if (fn && fn.archivedAt === undefined && (await this.isFirst(fn, event, position, entries))) {
        await this.schedule(fn, event, commands, fired);
        started.add(fn.id);
      }
    }
    const { env, name, payload, receivedAt } = event;
    const { matches, misses } = this.index().match({
      env,
      name,
      at: receivedAt,
      get value(): unknown {
        return JSON.parse(payload) as unknown;
      },
    });
    for (const { fn, reason } of misses)
      this.logger.debug({ functionId: fn.id, event: event.internalId, reason }, 'trigger did not match');
    for (const { fn } of matches) {
      if (!started.has(fn.id) && (await this.isFirst(fn, event, position, entries)))
        await this.schedule(fn, event, commands);
    }
  }

  private async invoke(
    event: StoredEvent,
    invoke: Extract<InternalEvent, { kind: 'invoke' }>,
    position: Position,
    commands: Addressed[],
    entries: Map<string, SeenEvent>,
  ): Promise<void> {
    const fn = this.catalog.resolve(event.env, invoke.functionRef);
    if (fn) {
      if (await this.isFirst(fn, event, position, entries)) await this.schedule(fn, event, commands, undefined, invoke);
      return;
    }
    if (!invoke.parent) return;
    const { runId, stepId } = invoke.parent;
    commands.push({
      key: runId,
      command: {
        type: 'ResumeStep',
        runId,
        env: event.env,
        at: this.clock.now(),
        stepId,
        result: { fault: invokeUnknown(invoke.functionRef) },
        eventId: event.internalId,
      },
    });
  }

  /** Whether no other delivery has started this function under this event id: contract 7.1. */
  private async isFirst(
    fn: FunctionVersion,
    event: StoredEvent,
    position: Position,
    entries: Map<string, SeenEvent>,
  ): Promise<boolean> {
    const key = `${fn.id}\n${event.id}`;
    const first = entries.get(key) ?? (await this.remembered(fn, event));
    if (first && first.position.offset !== position.offset) {
      this.logger.debug(
        { functionId: fn.id, event: event.internalId, first: first.internalId },
        'duplicate event id: no run',
      );
      return false;
    }
    if (!first)
      entries.set(key, {
        env: event.env,
        functionId: fn.id,
        eventId: event.id,
        internalId: event.internalId,
        position,
      });
    return true;
  }

  /** The delivery that started this function under this event id less than a day before. */
  private async remembered(fn: FunctionVersion, event: StoredEvent): Promise<SeenEvent | undefined> {
    const first = await this.seen.first(event.env, fn.id, event.id);
    if (!first || first.at >= event.receivedAt - LIMITS.idempotencyMs) return first;
    // Its day is over, and the next round of pruning has yet to come: it must make room for this one.
    await this.prune();
    return undefined;
  }

  private async schedule(
    fn: FunctionVersion,
    event: StoredEvent,
    commands: Addressed[],
    cron?: Extract<InternalEvent, { kind: 'cron' }>,
    invoke?: Extract<InternalEvent, { kind: 'invoke' }>,
  ): Promise<void> {
    const runId = derivedUlid(event.receivedAt, fn.id, event.internalId);
    const command = scheduleRun({ runId, fn, event, at: this.clock.now(), cron, parent: invoke?.parent });
    commands.push({ key: runId, command });
    // A cancelling event may stand right behind this one: the watch must not wait for the desk.
    const watches = command.cancelOn.map((watch, index): Pause => watchOf(command, watch, index));
    if (watches.length > 0) await this.pauses.add(watches);
  }

  private async match(event: StoredEvent, commands: Addressed[]): Promise<void> {
    const { env, name, internalId, receivedAt, payload } = event;
    for (const pause of await this.pauses.match({ env, name, internalId, receivedAt, payload })) {
      const at = this.clock.now();
      const { runId, stepId } = pause;
      commands.push({
        key: runId,
        command:
          pause.kind === 'cancel' || stepId === undefined
            ? { type: 'CancelRun', runId, env, at, by: 'event', cause: internalId }
            : { type: 'ResumeStep', runId, env, at, stepId, result: { memo: payload }, eventId: internalId },
      });
    }
  }

  private index(): TriggerIndex {
    const revision = this.catalog.revision();
    if (revision !== this.revision) {
      this.triggers = new TriggerIndex(this.catalog.allFunctions());
      this.revision = revision;
    }
    return this.triggers;
  }

  /** Event ids are remembered for a day. */
  async prune(): Promise<void> {
    await this.seen.prune(this.clock.now() - LIMITS.idempotencyMs);
  }
}

function watchOf({ runId, env, events, eventIds }: ScheduleRun, watch: CancelWatch, index: number): Pause {
  return {
    id: cancelWatchId(runId, index),
    env,
    kind: 'cancel',
    runId,
    event: watch.event,
    ...(watch.if === undefined ? {} : { expression: watch.if }),
    trigger: events[0] ?? '{}',
    since: watch.since,
    until: watch.until,
    notEvents: eventIds,
  };
}

import type { IntakeTransition, PlacedDecision } from '#core/admission/admission.js';
import { passOn, tellInvokers } from '#core/admission/admission.decision.js';
import { planAdmission, type AdmissionRequest } from '#core/admission/admission.plan.js';
import type { Command } from '#core/effects.js';
import { Fault } from '#core/faults.js';
import type { InternalEvent, InvokeParent, StoredEvent } from '#core/event/event.js';
import { derivedUlid } from '#core/event/event.ids.js';
import { viewOf, type EventView } from '#core/flow/flow.of-run.js';
import type { FunctionVersion } from '#core/function/function.config.js';
import { LIMITS } from '#core/limits.js';
import { TriggerIndex } from '#core/match/trigger.index.js';
import { invokeRefused, invokeUnknown } from '#core/run/run.memos.js';
import type { StepFault } from '#core/run/run.ops.js';
import { cancelWatchId } from '#core/run/run.owed.js';
import type { CancelWatch, ScheduleRun } from '#core/run/run.commands.js';
import type { Env, Placed, Position } from '#core/words.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog, LogRecord, PlacedRecord } from '#ports/event-log.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { Pause, PauseIndex } from '#ports/pause-index.port.js';
import type { SeenEvent, SeenEvents } from '#ports/seen-events.port.js';
import { deadLetter, recordOfCommand, recordOfDeadLetter } from '#ports/records.js';

type Invoke = Extract<InternalEvent, { kind: 'invoke' }>;

/** An event, where it stands, and what expressions see of it. */
interface Arrival {
  readonly event: StoredEvent;
  readonly view: EventView;
  readonly position: Position;
  /** Of the runs that it starts. */
  readonly watches: Pause[];
}

const PAGE = 1_000;

/** What a batch of events comes to. */
class IntakeBatch {
  readonly records: LogRecord[] = [];
  /** Ids that started a run, by function and id. */
  readonly entries = new Map<string, SeenEvent>();

  post(key: string, command: Command): void {
    this.records.push(recordOfCommand(key, command));
  }

  /** The intake's own decision about an event and a function. */
  tell(env: Env, event: Position, transition: IntakeTransition): void {
    const key = `intake:${env}:${transition.functionId}`;
    const { type, at } = transition;
    const body: PlacedDecision = { runId: key, event, index: 0, transition };
    this.records.push({ topic: 'transitions', key, type, schema: 1, env, at, body });
  }
}

/**
 * Takes the events of a partition in log order: which functions they trigger, which waits they resolve, which runs they cancel. All of it
 * becomes commands; the position is saved after those are durable. A crash in between posts the same commands again.
 */
export class Intake {
  private triggers = new TriggerIndex([]);
  private revision = -1;

  constructor(
    private readonly partition: number,
    private readonly log: EventLog,
    private readonly seen: SeenEvents,
    private readonly pauses: PauseIndex,
    private readonly catalog: Catalog,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** Where to go on. */
  position(): Promise<Position | undefined> {
    return this.seen.position(this.partition);
  }

  async take(batch: readonly PlacedRecord[]): Promise<void> {
    const out = new IntakeBatch();
    await this.catalog.reached(Math.max(0, ...batch.map(catalogOf)));
    for (const record of batch as readonly Placed<PlacedRecord<StoredEvent>>[]) {
      try {
        await this.one(record, out);
      } catch (error) {
        // A store that is away says nothing about the event.
        if (error instanceof Fault && error.blame !== 'us') throw error;
        out.records.push(recordOfDeadLetter(deadLetter(record, 'intake', error), record.env, this.clock.now()));
        const about = { err: error, topic: record.topic, ...record.position, event: record.body?.internalId };
        this.logger.error(about, 'event set aside: it cannot be processed');
      }
    }
    if (out.records.length > 0) await this.log.append(out.records);
    const last = batch.at(-1);
    if (last)
      await this.seen.commit(
        [...out.entries.values()],
        { ...last.position, offset: last.position.offset + 1 },
        this.clock.now(),
      );
  }

  /**
   * Remembers again which event ids have started runs, where that was lost: by the functions as they are now, from the events before
   * `next`. Nothing is posted.
   */
  async remember(next: Position): Promise<void> {
    const since = (await this.log.positionAt('events', this.clock.now() - LIMITS.idempotencyMs))[this.partition];
    let from = since ?? next;
    while (from.offset < next.offset) {
      const page = await this.log.read('events', from, PAGE);
      const last = page.at(-1);
      if (!last) break;
      const quiet = new IntakeBatch();
      for (const record of page) {
        if (record.position.offset >= next.offset) continue;
        const known = record as Placed<PlacedRecord<StoredEvent>>;
        // What cannot be processed now could not be then, and is among the dead letters.
        await this.start(known, quiet).catch((error: unknown) => {
          if (error instanceof Fault && error.blame !== 'us') throw error;
        });
      }
      from = { ...last.position, offset: Math.min(next.offset, last.position.offset + 1) };
      await this.seen.commit([...quiet.entries.values()], from, this.clock.now());
    }
    await this.seen.commit([], next, this.clock.now());
  }

  private async one(record: PlacedRecord<StoredEvent>, out: IntakeBatch): Promise<void> {
    const event = record.body;
    if (!event) return;
    const watches = await this.start(record, out);
    // A cancelling event may stand right behind this one: the watch must not wait for the desk.
    if (watches.length > 0) await this.pauses.add(watches);
    await this.match(event, out);
  }

  /** What the event starts. @returns the watches of the runs that are scheduled at once */
  private async start(record: PlacedRecord<StoredEvent>, out: IntakeBatch): Promise<readonly Pause[]> {
    const event = record.body;
    if (!event) return [];
    const arrival: Arrival = { event, view: viewOf(event.payload), position: record.position, watches: [] };
    const invoke = event.internal?.kind === 'invoke' ? event.internal : undefined;
    if (invoke) await this.invoke(arrival, invoke, out);
    else await this.trigger(arrival, out);
    return arrival.watches;
  }

  private async trigger(arrival: Arrival, out: IntakeBatch): Promise<void> {
    const { event, view } = arrival;
    const fired = event.internal?.kind === 'cron' ? event.internal : undefined;
    let started: string | undefined;
    if (fired) {
      const fn = this.catalog.function(fired.functionId);
      if (fn && fn.archivedAt === undefined) {
        await this.offer(fn, arrival, out, { cron: fired });
        started = fn.id;
      }
    }
    const { env, name, receivedAt } = event;
    const { matches, misses } = this.index().match({
      env,
      name,
      at: receivedAt,
      get value(): unknown {
        return view.value;
      },
    });
    for (const { fn, reason } of misses)
      this.logger.debug({ functionId: fn.id, event: event.internalId, reason }, 'trigger did not match');
    for (const { fn } of matches) if (fn.id !== started) await this.offer(fn, arrival, out);
  }

  private async invoke(arrival: Arrival, invoke: Invoke, out: IntakeBatch): Promise<void> {
    const { event } = arrival;
    const fn = this.catalog.resolve(event.env, invoke.functionRef);
    if (fn) await this.offer(fn, arrival, out, { parent: invoke.parent });
    else this.tell(invoke.parent, event, invokeUnknown(invoke.functionRef), out);
  }

  /** The event wants a run of the function: it goes on to what it has to pass, or is a run at once. Contract 4. */
  private async offer(
    fn: FunctionVersion,
    { event, view, position, watches }: Arrival,
    out: IntakeBatch,
    origin: Pick<AdmissionRequest, 'cron' | 'parent'> = {},
  ): Promise<void> {
    // Others may write events, too: what is no JSON object starts nothing.
    if (typeof view.value !== 'object' || view.value === null)
      throw new Fault('record_unreadable', { event: event.internalId });
    const at = this.clock.now();
    const runId = derivedUlid(event.receivedAt, fn.id, event.internalId);
    const plan = planAdmission({ fn, event, view, runId, at, ...origin, paused: fn.paused !== undefined });
    const { id: functionId } = fn;
    const eventId = event.internalId;
    if (plan.kind === 'refused') {
      const { control, error } = plan;
      out.tell(event.env, position, { type: 'ExpressionRefused', at, functionId, eventId, control, error });
      return this.tell(origin.parent, event, invokeRefused(`${control} failed: ${error}`), out);
    }
    const id = plan.dedupe === 'event_id' ? event.id : eventId;
    const first = await this.firstOf(fn, event, id, position, out.entries);
    if (first) {
      out.tell(event.env, position, { type: 'EventRepeated', at, functionId, eventId, key: id, first });
      return;
    }
    const { key, command } = passOn(plan.offer, { topic: 'events', ...position }, at);
    out.post(key, command);
    if (command.type !== 'ScheduleRun') return;
    watches.push(...command.cancelOn.map((watch, index): Pause => watchOf(command, watch, index)));
  }

  /** The step that invoked the function hears at once that nothing comes of it. */
  private tell(parent: InvokeParent | undefined, event: StoredEvent, fault: StepFault, out: IntakeBatch): void {
    if (!parent) return;
    const told = { env: event.env, at: this.clock.now(), eventId: event.internalId, fault };
    for (const { key, command } of tellInvokers([parent], told)) out.post(key, command);
  }

  /**
   * Remembers that this delivery starts the function under this id: contract 7.1.
   * @returns the internal id of another delivery that has done so before
   */
  private async firstOf(
    fn: FunctionVersion,
    event: StoredEvent,
    eventId: string,
    position: Position,
    entries: Map<string, SeenEvent>,
  ): Promise<string | undefined> {
    const key = `${fn.id}\n${eventId}`;
    const first = entries.get(key) ?? (await this.remembered(fn, event, eventId));
    if (first && first.position.offset !== position.offset) return first.internalId;
    if (!first) {
      const { env, internalId } = event;
      entries.set(key, { env, functionId: fn.id, eventId, internalId, position });
    }
    return undefined;
  }

  /** The delivery that started this function under this event id less than a day before. */
  private async remembered(fn: FunctionVersion, event: StoredEvent, eventId: string): Promise<SeenEvent | undefined> {
    const first = await this.seen.first(this.partition, event.env, fn.id, eventId);
    if (!first || first.at >= event.receivedAt - LIMITS.idempotencyMs) return first;
    // Its day is over, and the next round of pruning has yet to come: it must make room for this one.
    await this.prune();
    return undefined;
  }

  private async match(event: StoredEvent, out: IntakeBatch): Promise<void> {
    const { env, name, internalId, receivedAt, payload } = event;
    const [resolved = []] = await this.pauses.match([{ env, name, internalId, receivedAt, payload }]);
    for (const pause of resolved) {
      const at = this.clock.now();
      const { runId, stepId } = pause;
      out.post(
        runId,
        pause.kind === 'cancel' || stepId === undefined
          ? { type: 'CancelRun', runId, env, at, by: 'event', cause: internalId }
          : { type: 'ResumeStep', runId, env, at, stepId, result: { memo: payload }, eventId: internalId },
      );
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
    await this.seen.prune(this.partition, this.clock.now() - LIMITS.idempotencyMs);
  }
}

/** A sender who was told that his functions are known finds them, whoever takes his event. */
function catalogOf({ body }: PlacedRecord): number {
  const revision = (body as StoredEvent | undefined)?.catalog;
  return typeof revision === 'number' ? revision : 0;
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

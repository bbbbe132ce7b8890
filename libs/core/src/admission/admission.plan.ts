import { derivedUlid } from '../event/event.ids.js';
import type { InternalEvent, InvokeParent, StoredEvent } from '../event/event.js';
import type { RunFlow } from '../flow/flow.js';
import { flowOf, viewOf, type EventView } from '../flow/flow.of-run.js';
import type { FunctionVersion } from '../function/function.config.js';
import { scheduleRun } from '../run/run.schedule.js';
import type { EpochMs } from '../words.js';
import type { BatchBuffer, DebounceWindow, Offer, OfferedEvent, Stage } from './admission.js';
import {
  batchStage,
  debounceStage,
  onceStage,
  rateOf,
  rateStage,
  singletonStage,
  type Matter,
  type Refusal,
} from './admission.stages.js';

export interface AdmissionRequest {
  readonly fn: FunctionVersion;
  readonly event: StoredEvent;
  /** The event as expressions see it, where more than one function looks at it; otherwise it is made of the payload. */
  readonly view?: EventView | undefined;
  readonly runId: string;
  readonly at: EpochMs;
  readonly cron?: Extract<InternalEvent, { kind: 'cron' }> | undefined;
  readonly parent?: InvokeParent | undefined;
  readonly paused: boolean;
}

export type AdmissionPlan =
  | ({ readonly kind: 'refused' } & Refusal)
  | {
      readonly kind: 'offer';
      /** Where nothing is to be passed, `passOn` makes a run of it at once. */
      readonly offer: Offer;
      /** By which id the intake looks whether the event has been here: the sender's own, or the one that each delivery has for itself. */
      readonly dedupe: 'event_id' | 'internal_id';
    };

/** What an event has to pass before it is a run of a function, in order. Contract 4. */
export function planAdmission(request: AdmissionRequest): AdmissionPlan {
  const { fn, event, at, paused } = request;
  const { config } = fn;
  const matter: Matter = { fn, event, view: request.view ?? viewOf(event.payload), at, notes: [] };

  const batch = batchStage(matter);
  if (batch && 'error' in batch) return { kind: 'refused', ...batch };
  if (batch) return { kind: 'offer', offer: offerOf(matter, request, [batch]), dedupe: 'internal_id' };
  const rate = rateStage(matter);
  if (rate && 'error' in rate) return { kind: 'refused', ...rate };
  const debounce = debounceStage(matter);
  // Whether an event has been here is asked after what may drop it, or a dropped one would keep its id from the next. That goes for all
  // events of the function, also those that a key lets through: an id has one memory.
  const mayDrop = rateOf(fn) !== undefined || config.debounce !== undefined;
  const stages = [
    rate,
    debounce,
    mayDrop ? onceStage(matter) : undefined,
    paused ? undefined : singletonStage(matter),
  ].filter((stage) => stage !== undefined);
  return {
    kind: 'offer',
    offer: offerOf(matter, request, stages),
    dedupe: mayDrop ? 'internal_id' : 'event_id',
  };
}

/** What becomes of the event that a debounce has kept. Its rate was charged when it came; all else is as configured now. Contract 10. */
export function planAfterDebounce(fired: {
  readonly fn: FunctionVersion;
  readonly window: DebounceWindow;
  readonly at: EpochMs;
  readonly paused: boolean;
}): Offer {
  const { fn, window, at, paused } = fired;
  const event: StoredEvent = { ...window.event, payload: window.payload };
  const matter: Matter = { fn, event, view: viewOf(event.payload), at, notes: [] };
  rateStage(matter); // These two for their notes.
  debounceStage(matter);
  const stages = [onceStage(matter), paused ? undefined : singletonStage(matter)].filter(
    (stage) => stage !== undefined,
  );
  const runId = derivedUlid(at, fn.id, event.internalId);
  return offerOf(matter, { runId, paused, ...originOf(event, fn) }, stages);
}

/** What becomes of a batch whose time is over: the run of its first event, to which the aggregate adds the others. Contract 11. */
export function planAfterBatch(fired: {
  readonly fn: FunctionVersion;
  readonly buffer: BatchBuffer;
  readonly at: EpochMs;
  readonly paused: boolean;
}): Offer {
  const { fn, buffer, at, paused } = fired;
  const event: StoredEvent = { ...buffer.event, payload: buffer.chunks[0]?.[0]?.payload ?? '{}' };
  const matter: Matter = { fn, event, view: viewOf(event.payload), at, notes: [] };
  const runId = derivedUlid(at, fn.id, buffer.batchId);
  return offerOf(matter, { runId, paused, ...originOf(event, fn) }, []);
}

function offerOf(
  { fn, event, view, at, notes }: Matter,
  { runId, paused, cron, parent }: Pick<AdmissionRequest, 'runId' | 'paused' | 'cron' | 'parent'>,
  then: readonly Stage[],
): Offer {
  const singleton = then.find(({ kind }) => kind === 'singleton')?.key;
  const flow = withMore(flowOf(fn, view, at), singleton, notes);
  return {
    event: withoutPayload(event),
    run: scheduleRun({ runId, fn, event, at, cron, parent, flow }),
    then,
    ...(paused ? { skip: 'function_paused' } : {}),
  };
}

function withMore(flow: RunFlow | undefined, singleton: string | undefined, notes: readonly string[]) {
  if (singleton === undefined && notes.length === 0) return flow;
  const all = [...notes, ...(flow?.notes ?? [])];
  return {
    ...flow,
    ...(singleton === undefined ? {} : { singleton }),
    ...(all.length === 0 ? {} : { notes: all }),
  };
}

function withoutPayload({ payload: _payload, ...event }: StoredEvent): OfferedEvent {
  return event;
}

/** What the server made the event for, where it concerns this function. */
function originOf({ internal }: StoredEvent, fn: FunctionVersion): Pick<AdmissionRequest, 'cron' | 'parent'> {
  if (internal?.kind === 'cron' && internal.functionId === fn.id) return { cron: internal };
  if (internal?.kind === 'invoke') return { parent: internal.parent };
  return {};
}

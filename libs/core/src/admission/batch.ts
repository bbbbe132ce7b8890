import { derivedUlid } from '../event/event.ids.js';
import { utf8Bytes } from '../json.js';
import type { ScheduleRun } from '../run/run.commands.js';
import { invokeRefused } from '../run/run.memos.js';
import type { EpochMs, Position } from '../words.js';
import type { AdmissionOf, BatchBuffer, BatchedEvent, Offer, StageOf } from './admission.js';
import {
  baseOf,
  ignore,
  passOn,
  REMEMBERED_MS,
  sourceAt,
  tellInvokers,
  type AdmissionDecision,
  type Base,
  type CommandOf,
} from './admission.decision.js';

const GONE = invokeRefused('the function is gone');

/** An event opens a batch or joins it, and may be the one that fills it. Contract 11. */
export function offerToBatch(
  state: AdmissionOf<'batch'> | undefined,
  base: Base,
  stage: StageOf<'batch'>,
  { at, functionId, offer }: CommandOf<'OfferRun'>,
  position: Position,
): AdmissionDecision {
  const before = state?.buffer;
  const buffer = joined(before ?? opened(stage, offer, at), offer);
  const { batchId, size, bytes, dueAt } = buffer;
  const told = { at, functionId, eventId: offer.event.internalId, key: stage.value, batchId, size, bytes, dueAt };
  const arrival = { type: before ? 'BatchJoined' : 'BatchOpened', ...told } as const;
  const turn = (state?.turn ?? 0) + (before ? 0 : 1);

  const by = size >= stage.maxSize ? 'size' : bytes >= stage.bytesMax ? 'bytes' : undefined;
  if (by === undefined) {
    return { transitions: [arrival], next: { ...base, kind: 'batch', turn, buffer }, effects: [] };
  }
  const { flow: _flow, ...last } = offer.run;
  const run: ScheduleRun = {
    ...last,
    runId: derivedUlid(at, functionId, batchId),
    ...(buffer.flow === undefined ? {} : { flow: buffer.flow }),
  };
  const fired = fire(buffer, { ...offer, run }, functionId, at, by, position);
  return {
    ...fired,
    transitions: [arrival, ...fired.transitions],
    next: { ...base, kind: 'batch', turn, until: at + REMEMBERED_MS },
  };
}

/** The time of a batch is over. */
export function batchDue(
  state: AdmissionOf<'batch'>,
  { at, env, functionId, turn, offer }: CommandOf<'FireAdmission'>,
  position: Position,
): AdmissionDecision {
  const { buffer } = state;
  if (!buffer || state.turn !== turn) return ignore(state, 'turn_unknown');
  if (at < buffer.dueAt) return ignore(state, 'timer_early');
  const next = { ...baseOf(state), kind: 'batch', turn, until: at + REMEMBERED_MS } as const;
  if (offer) return { ...fire(buffer, offer, functionId, at, 'timeout', position), next };

  const { batchId, size, value: key } = buffer;
  const eventId = buffer.event.internalId;
  return {
    transitions: [
      {
        type: 'BatchDropped',
        at,
        functionId,
        eventId,
        key,
        batchId,
        eventIds: idsOf(buffer),
        size,
        reason: 'function_gone',
      },
    ],
    next,
    effects: buffer.chunks
      .flat()
      .flatMap(({ internalId, parent }) =>
        tellInvokers(parent ? [parent] : [], { env, at, eventId: internalId, fault: GONE }),
      ),
  };
}

function opened(stage: StageOf<'batch'>, { event, run }: Offer, at: EpochMs): BatchBuffer {
  return {
    batchId: derivedUlid(at, stage.key, event.internalId),
    event,
    ...(run.flow === undefined ? {} : { flow: run.flow }),
    value: stage.value,
    chunks: [],
    size: 0,
    bytes: 0,
    openedAt: at,
    dueAt: at + stage.timeoutMs,
  };
}

function joined(buffer: BatchBuffer, { event, run }: Offer): BatchBuffer {
  const [payload = '{}'] = run.events;
  const [parent] = run.parents;
  const item = { payload, internalId: event.internalId, ...(parent === undefined ? {} : { parent }) };
  return {
    ...buffer,
    chunks: appended(buffer.chunks, item),
    size: buffer.size + 1,
    bytes: buffer.bytes + utf8Bytes(payload),
  };
}

/** With one more. Chunks of one length become one, as digits carry: each event moves but log n times in a batch of n. */
function appended(
  chunks: readonly (readonly BatchedEvent[])[],
  event: BatchedEvent,
): readonly (readonly BatchedEvent[])[] {
  const next = [...chunks];
  let last: readonly BatchedEvent[] = [event];
  for (let before = next.at(-1); before?.length === last.length; before = next.at(-1)) {
    last = [...before, ...last];
    next.pop();
  }
  return [...next, last];
}

/** @param offer whose run gets the events: what it carries of the configuration is taken from there */
function fire(
  buffer: BatchBuffer,
  offer: Offer,
  functionId: string,
  at: EpochMs,
  by: 'size' | 'timeout' | 'bytes',
  position: Position,
): Omit<AdmissionDecision, 'next'> {
  const { batchId, size, bytes, value: key } = buffer;
  const run = runOf(buffer, offer.run, at);
  const { runId } = run;
  const eventId = buffer.event.internalId;
  return {
    transitions: [
      { type: 'BatchFired', at, functionId, eventId, key, batchId, eventIds: run.eventIds, runId, size, bytes, by },
    ],
    effects: [passOn({ ...offer, event: buffer.event, run }, sourceAt(position), at)],
  };
}

function idsOf({ chunks }: BatchBuffer): readonly string[] {
  return chunks.flat().map(({ internalId }) => internalId);
}

/** The run of a batch. It starts at once, has no start timeout, and nothing cancels it. Contract 4, 11. */
function runOf(buffer: BatchBuffer, run: ScheduleRun, at: EpochMs): ScheduleRun {
  const { batchId, event, chunks } = buffer;
  const { startTimeoutMs: _startTimeoutMs, trace: _trace, ...rest } = run;
  const all = chunks.flat();
  return {
    ...rest,
    at,
    startAt: at,
    events: all.map(({ payload }) => payload),
    eventIds: idsOf(buffer),
    eventName: event.name,
    parents: all.flatMap(({ parent }) => (parent ? [parent] : [])),
    cancelOn: [],
    batchId,
    ...(event.trace === undefined ? {} : { trace: event.trace }),
  };
}

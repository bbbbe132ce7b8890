import { waitUntil } from '#core/duration.js';
import { Fault } from '#core/faults.js';
import { canonical, isOver } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import { dataMemo } from '#core/run/run.memos.js';
import type { Op, WaitUntil } from '#core/run/run.ops.js';
import type { EpochMs, Json } from '#core/words.js';
import { cut, readFault } from './call.error.js';
import { fieldsOf, isObject, textOf, type Fields } from './json.read.js';

/** Why operations cannot be read. `step_not_found` is said by the SDK; the rest breaks the protocol or a limit. */
export class OpUnreadable extends Error {
  constructor(
    readonly code: 'reply_unreadable' | 'step_not_found' | 'step_output_too_large' | 'step_input_too_large',
    message: string,
    /** The step it is about. */
    readonly stepId?: string,
  ) {
    super(message);
    this.name = 'OpUnreadable';
  }
}

const NAME_CHARS_MAX = 1024;
const ID_CHARS_MAX = 255;
/** `step` stands for the function itself where a step's id stands else. */
const ENTRY = 'step';
/** SHA-1 of `complete`: the id under which TypeScript completes a run. */
export const COMPLETE_ID = '0737c22d3bfae812339732d14d8c7dbd6dc4e09c';

/**
 * The operations of a reply, in the order in which they must be taken. execution.md section 5.
 *     [{"id":"<hash>","op":"StepRun","name"?,"displayName"?,"opts"?,"data"?,"error"?,"userland"?:{"id","index"?},"timing"?:{"a":ns,"b":ns}}]
 * An object in place of the array is one operation; null is none, as Go writes an empty list. Of one id the first counts. Defers and waits
 * for events come first, so that nothing of the same reply can miss them; the run's completion comes last.
 * @throws OpUnreadable, body_too_deep
 */
export function readOps(body: unknown, now: EpochMs): readonly Op[] {
  const items: readonly unknown[] = Array.isArray(body) ? body : body === null ? [] : [body];
  const seen = new Set<string>();
  const ranked: Op[][] = [[], [], []];
  for (const item of items) {
    if (!isObject(item)) throw new OpUnreadable('reply_unreadable', `an operation is no object but ${typeName(item)}`);
    if (item.op === 'None') continue;
    const op = readOp(item, now);
    if (seen.has(op.id)) continue;
    seen.add(op.id);
    ranked[rankOf(op)]?.push(op);
  }
  return ranked.flat();
}

function rankOf({ op }: Op): number {
  if (op === 'DeferAdd' || op === 'DeferAbort' || op === 'WaitForEvent') return 0;
  return op === 'RunComplete' ? 2 : 1;
}

function readOp(item: Fields, now: EpochMs): Op {
  const opts = fieldsOf(item.opts);
  const op = item.op;
  const id = idOf(item);
  const base = {
    id,
    name: nameOf(item, id),
    ...raceOf(opts),
    ...typeOf(opts),
    ...timesOf(item.timing),
    ...metadataOf(item.metadata),
  };
  switch (op) {
    case 'StepRun':
      return { ...base, ...inputOf(opts, id), op: 'StepDone', memo: dataMemo(output(id, item.data ?? null)) };
    case 'Step':
      // Kotlin's sendEvent: it wants its object back unwrapped.
      return {
        ...base,
        op: 'StepDone',
        memo: isObject(item.data) ? output(id, item.data) : dataMemo(output(id, item.data ?? null)),
      };
    case 'StepError':
      return {
        ...base,
        op: item.noRetry === true ? 'StepFailed' : 'StepError',
        fault: readFault(item.error ?? item.data),
      };
    case 'StepFailed':
      return { ...base, op, fault: readFault(item.error ?? item.data) };
    case 'StepPlanned':
      return { ...base, ...inputOf(opts, id), op };
    case 'Sleep':
      // Go and Kotlin put the step's name into `name`, the others the duration.
      return { ...base, op, until: until(opts.duration ?? item.name, now) };
    case 'WaitForEvent': {
      const condition = textOf(opts.if);
      const event = needed(textOf(opts.event) ?? textOf(item.name), id, 'event to wait for');
      return {
        ...base,
        op,
        event,
        ...(condition === undefined ? {} : { if: condition }),
        until: until(opts.timeout, now),
      };
    }
    case 'WaitForSignal': {
      const signal = needed(textOf(opts.signal) ?? textOf(item.name), id, 'signal to wait for');
      const conflict = opts.conflict === 'replace' ? 'replace' : 'fail';
      return { ...base, op, signal, conflict, until: until(opts.timeout, now, LIMITS.signalMsDefault) };
    }
    case 'InvokeFunction': {
      const functionRef = needed(textOf(opts.function_id), id, 'function to invoke');
      return {
        ...base,
        op,
        functionRef,
        payload: invokePayload(id, opts),
        until: until(opts.timeout, now, LIMITS.invokeMsDefault),
      };
    }
    case 'Gateway':
      return { ...base, op, request: request(id, opts, ['body', 'headers', 'method', 'url']) };
    case 'AIGateway':
      return { ...base, op, request: request(id, opts, ['auth_key', 'body', 'format', 'headers', 'publish', 'url']) };
    case 'RunComplete':
    case 'SyncRunComplete':
      return { ...base, op: 'RunComplete', data: json(item.data ?? null) };
    case 'DiscoveryRequest':
      return { ...base, op };
    case 'DeferAdd':
      return { ...base, op, ...defer(opts) };
    case 'DeferAbort':
      return { ...base, op, target: textOf(opts.target_hashed_id) ?? '' };
    case 'StepNotFound':
      throw new OpUnreadable('step_not_found', `The app found no step ${id} to run.`, id);
    case 'StepStateFailed':
      throw new OpUnreadable(
        'reply_unreadable',
        readFault(item.error ?? item.data).message || 'the app could not read the state',
        id,
      );
    default:
      throw new OpUnreadable('reply_unreadable', `unknown operation ${shown(op)}`, id);
  }
}

/** An opaque key, but one that an object can be indexed by without surprise. */
function idOf({ id, op }: Fields): string {
  if (op === 'RunComplete' || op === 'SyncRunComplete') return textOf(id) === undefined ? COMPLETE_ID : checkedId(id);
  return checkedId(id);
}

function checkedId(id: unknown): string {
  if (typeof id === 'string' && id !== '' && id.length <= ID_CHARS_MAX && id !== ENTRY && !(id in {})) return id;
  throw new OpUnreadable('reply_unreadable', `${shown(id)} cannot be the id of a step`);
}

function nameOf(item: Fields, id: string): string {
  return cut(textOf(item.displayName) ?? textOf(fieldsOf(item.userland).id) ?? textOf(item.name) ?? id, NAME_CHARS_MAX);
}

function raceOf({ parallelMode }: Fields): { readonly race?: boolean } {
  return typeof parallelMode === 'string' && parallelMode.toLowerCase() === 'race' ? { race: true } : {};
}

function typeOf(opts: Fields): { readonly type?: string } {
  const type = textOf(opts.type);
  return type === undefined ? {} : { type: cut(type, NAME_CHARS_MAX) };
}

/** Nanoseconds since the epoch and of duration; zeros where nothing ran. */
function timesOf(timing: unknown): { readonly startedAt?: EpochMs; readonly ranMs?: number } {
  const { a, b } = fieldsOf(timing);
  const startedAt = typeof a === 'number' ? Math.floor(a / 1e6) : 0;
  if (startedAt < LIMITS.eventTsMin || startedAt > LIMITS.eventTsMax) return {};
  const ranMs = typeof b === 'number' ? Math.round(b / 1e6) : -1;
  return ranMs >= 0 && ranMs <= LIMITS.eventTsMax ? { startedAt, ranMs } : { startedAt };
}

/** What is attached for people to see must never fail a run: what cannot be kept is left out. Section 5.3. */
function metadataOf(metadata: unknown): { readonly metadata?: Json } {
  const items = Array.isArray(metadata) ? metadata.flatMap((item) => metadataItem(fieldsOf(item)) ?? []) : [];
  return items.length === 0 ? {} : { metadata: `[${items.join(',')}]` };
}

function metadataItem({ kind, op, scope, values }: Fields): Json | undefined {
  if (textOf(kind) === undefined || textOf(op) === undefined || !isObject(values)) return undefined;
  try {
    const item = json({ kind, op, ...(textOf(scope) === undefined ? {} : { scope }), values });
    return isOver(item, LIMITS.metadataItemBytesMax) ? undefined : item;
  } catch (error) {
    if (error instanceof Fault && error.code === 'body_too_deep') return undefined;
    throw error;
  }
}

function inputOf({ input }: Fields, id: string): { readonly input?: Json } {
  return Array.isArray(input) ? { input: stepInput(id, json(input)) } : {};
}

function until(text: unknown, now: EpochMs, msDefault?: number): WaitUntil {
  if ((text === undefined || text === null) && msDefault !== undefined) return { at: now + msDefault };
  if (text === undefined || text === null) return waitUntil(undefined, now);
  return typeof text === 'string' ? waitUntil(cut(text, NAME_CHARS_MAX), now) : { invalid: shown(text) };
}

function invokePayload(id: string, opts: Fields): Json {
  const { data, user, v, meta } = fieldsOf(opts.payload);
  if (data !== undefined && data !== null && !isObject(data)) {
    throw new OpUnreadable('reply_unreadable', `step ${id} invokes with data that is no object`, id);
  }
  return stepInput(
    id,
    json({
      data: data ?? {},
      ...(isObject(meta) ? { meta } : {}),
      ...(isObject(user) ? { user } : {}),
      ...(textOf(v) === undefined ? {} : { v }),
    }),
  );
}

function request(id: string, opts: Fields, names: readonly string[]): Json {
  const kept = Object.fromEntries(
    names.flatMap((name) => (opts[name] === undefined || opts[name] === null ? [] : [[name, opts[name]]])),
  );
  return stepInput(id, json(kept));
}

/** A defer never fails its run: one that breaks a rule is noted as rejected. Section 12. */
function defer(opts: Fields): Pick<Extract<Op, { op: 'DeferAdd' }>, 'functionRef' | 'payload' | 'rejected'> {
  const functionRef = textOf(opts.fn_slug);
  if (functionRef === undefined || !isObject(opts.input ?? {})) {
    return { functionRef: functionRef ?? '', payload: 'null', rejected: 'invalid_opts' };
  }
  const payload = json(opts.input ?? {});
  return isOver(payload, LIMITS.deferInputBytesMax)
    ? { functionRef, payload: 'null', rejected: 'per_defer_size' }
    : { functionRef, payload };
}

function needed(text: string | undefined, id: string, what: string): string {
  if (text === undefined) throw new OpUnreadable('reply_unreadable', `step ${id} names no ${what}`, id);
  return text;
}

function output(id: string, data: unknown): Json {
  const text = json(data);
  if (!isOver(text, LIMITS.stepOutputBytesMax)) return text;
  throw new OpUnreadable(
    'step_output_too_large',
    `step output size is greater than the limit: step ${id}, ${LIMITS.stepOutputBytesMax} bytes`,
    id,
  );
}

function stepInput(id: string, input: Json): Json {
  if (!isOver(input, LIMITS.stepInputBytesMax)) return input;
  throw new OpUnreadable(
    'step_input_too_large',
    `step input size is greater than the limit: step ${id}, ${LIMITS.stepInputBytesMax} bytes`,
    id,
  );
}

function json(value: unknown): Json {
  return canonical(value, LIMITS.jsonDepthMax);
}

/** A value in an error text: short, and no payload. */
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(cut(value, 80)) : typeName(value);
}

function typeName(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : `of type ${typeof value}`;
}

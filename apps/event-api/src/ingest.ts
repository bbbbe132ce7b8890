import { parseEventIdSeed, seededUlid } from '#core/event/event.ids.js';
import type { StoredEvent } from '#core/event/event.js';
import { readEvent } from '#core/event/event.read.js';
import { EventSplitter, type SplitEvent } from '#core/event/event.split.js';
import { Fault } from '#core/faults.js';
import { canonical } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import { functionInvoked } from '#core/run/run.lifecycle.js';
import type { Access } from '#ports/access.port.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog } from '#ports/event-log.port.js';
import type { Ids } from '#ports/ids.port.js';
import { recordOfEvent, recordsOfRequest } from '#ports/records.js';
import type { Watching } from '#ports/tracing.port.js';

export interface IngestOptions {
  /** Largest request body. */
  readonly bodyBytesMax: number;
  /** Bytes of all request bodies that are held at one time. */
  readonly heldBytesMax: number;
}

export interface IngestRules {
  readonly nameCharsMax?: number;
  /** One event, not a list. */
  readonly single?: boolean;
}

export interface Sender {
  /** `x-inngest-event-id-seed`. */
  readonly seed?: string | undefined;
  readonly traceparent?: string | undefined;
}

/** The door of the log: checks a request whole, appends it whole, and answers when it is durable. */
export class Ingest {
  private heldBytes = 0;

  constructor(
    private readonly log: EventLog,
    private readonly catalog: Catalog,
    private readonly ids: Ids,
    private readonly clock: Clock,
    private readonly access: Access,
    private readonly options: IngestOptions,
    private readonly watching: Watching,
  ) {}

  /**
   * Takes a body as it comes: an event, or a list of them.
   * @returns the internal ids, in order
   * @throws faults of the caller, naming the event's place in a list; overloaded, log_unavailable
   */
  async events(
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    sender: Sender,
    rules: IngestRules = {},
  ): Promise<readonly string[]> {
    return this.watched(sender, (trace) => this.take(body, sender, rules, trace));
  }

  private async take(
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    sender: Sender,
    rules: IngestRules,
    trace: string | undefined,
  ): Promise<readonly string[]> {
    const receivedAt = this.clock.now();
    const catalog = this.catalog.revision();
    const seed = parseEventIdSeed(sender.seed);
    const nameCharsMax = rules.nameCharsMax === undefined ? {} : { nameCharsMax: rules.nameCharsMax };
    const splitter = new EventSplitter();
    const events: StoredEvent[] = [];
    const take = ({ value, bytes }: SplitEvent) => {
      const internalId = seed ? seededUlid(seed, events.length) : this.ids.ulid();
      try {
        const event = readEvent({
          value,
          bytes,
          internalId,
          env: this.access.env,
          receivedAt,
          source: 'api',
          ...(trace === undefined ? {} : { trace }),
          ...nameCharsMax,
        });
        events.push({ ...event, catalog });
      } catch (error) {
        throw error instanceof Fault && splitter.isList ? at(error, events.length) : error;
      }
    };
    let held = 0;
    try {
      for await (const chunk of body) {
        held += chunk.length;
        this.heldBytes += chunk.length;
        if (held > this.options.bodyBytesMax)
          throw new Fault('body_too_large', { bodyBytesMax: this.options.bodyBytesMax });
        if (this.heldBytes > this.options.heldBytesMax)
          throw new Fault('overloaded', { heldBytesMax: this.options.heldBytesMax });
        for (const event of splitter.push(chunk)) take(event);
      }
      splitter.end();
      if (rules.single && (splitter.isList || events.length !== 1))
        throw new Fault('event_body_invalid', {}, { message: 'Request body must contain one event object' });
      if (events.length > 0) await this.log.append(recordsOfRequest(events));
      return events.map(({ internalId }) => internalId);
    } catch (error) {
      throw error instanceof Fault && typeof error.data['index'] === 'number' && error.data['place'] === undefined
        ? at(error, error.data['index'])
        : error;
    } finally {
      this.heldBytes -= held;
    }
  }

  /**
   * Starts a function by its slug or id, triggers and their expressions aside.
   * @param request `{data?, user?, v?}`
   * @returns the event's internal id, also where there is no such function: then nothing runs
   */
  async invoke(functionRef: string, request: unknown, sender: Sender = {}): Promise<string> {
    const [id = ''] = await this.watched(sender, async (trace) => [
      await this.takeInvocation(functionRef, request, trace),
    ]);
    return id;
  }

  private async takeInvocation(functionRef: string, request: unknown, trace: string | undefined): Promise<string> {
    const { data, user, v } = invocation(request);
    const receivedAt = this.clock.now();
    const internalId = this.ids.ulid();
    const payload = functionInvoked({
      id: internalId,
      ts: receivedAt,
      functionSlug: functionRef,
      payload: canonical({ data, user, v }, LIMITS.jsonDepthMax),
    });
    const event: StoredEvent = {
      internalId,
      env: this.access.env,
      id: internalId,
      name: 'inngest/function.invoked',
      ts: receivedAt,
      receivedAt,
      payload,
      source: 'invoke',
      internal: { kind: 'invoke', functionRef },
      catalog: this.catalog.revision(),
      ...(trace === undefined ? {} : { trace }),
    };
    await this.log.append([recordOfEvent(event)]);
    return internalId;
  }

  /** @param take gets the trace context for its events, and gives their ids */
  private async watched(
    { traceparent }: Sender,
    take: (trace: string | undefined) => Promise<readonly string[]>,
  ): Promise<readonly string[]> {
    const { metrics, tracing } = this.watching;
    const span = tracing.receive(traceparent);
    try {
      const ids = await take(span.trace);
      span.end(ids.length);
      metrics.count('millrace_events_received_total', { result: 'accepted' }, ids.length);
      return ids;
    } catch (error) {
      const { code, isTheirs } = blameOf(error);
      span.end(0, code);
      metrics.count('millrace_events_received_total', { result: isTheirs ? 'refused' : 'failed' });
      throw error;
    }
  }
}

function blameOf(error: unknown): { readonly code: string; readonly isTheirs: boolean } {
  if (error instanceof Fault) return { code: error.code, isTheirs: error.blame === 'caller' };
  const { code } = error as NodeJS.ErrnoException;
  // They hung up within the body.
  return code === 'ECONNRESET' ? { code, isTheirs: true } : { code: 'internal', isTheirs: false };
}

/** Names the event's place in its list, counted from 1. */
function at(fault: Fault, index: number): Fault {
  return new Fault(
    fault.code,
    { ...fault.data, place: index + 1 },
    { cause: fault, message: `${fault.message} (event ${index + 1} of the request)` },
  );
}

function invocation(request: unknown): { data: object; user?: object; v?: string } {
  const given = request ?? {};
  if (typeof given !== 'object' || Array.isArray(given))
    throw new Fault('request_invalid', {}, { message: 'The body must be an object: {"data":{...},"user":{...}}' });
  const { data, user, v } = given as { data?: unknown; user?: unknown; v?: unknown };
  const isObject = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (data !== undefined && data !== null && !isObject(data))
    throw new Fault('request_invalid', {}, { message: 'data must be an object' });
  if (user !== undefined && user !== null && !isObject(user))
    throw new Fault('request_invalid', {}, { message: 'user must be an object' });
  if (v !== undefined && v !== null && typeof v !== 'string')
    throw new Fault('request_invalid', {}, { message: 'v must be a text' });
  return { data: data ?? {}, ...(user ? { user } : {}), ...(typeof v === 'string' ? { v } : {}) };
}

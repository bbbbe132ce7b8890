import { Fault } from '../faults.js';
import { LIMITS } from '../limits.js';
import { eventTooLarge } from './event.read.js';

export interface SplitEvent {
  /** Parsed JSON: always an object. */
  readonly value: unknown;
  /** Size of its text, inner white space included. */
  readonly bytes: number;
}

export interface SplitLimits {
  readonly eventBytesMax: number;
  readonly eventsMax: number;
  readonly depthMax: number;
}

const LIMITS_OF_A_REQUEST: SplitLimits = {
  eventBytesMax: LIMITS.eventBytesMax,
  eventsMax: LIMITS.eventsPerRequestMax,
  depthMax: LIMITS.jsonDepthMax,
};

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Bytes with which a JSON value begins that is no object: `"`, `-`, a digit, `[`, false, null, true. */
const OTHER_VALUES = new Set(Buffer.from('"-0123456789[fnt'));
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** What may come next in the body, outside of events. */
type Place = 'start' | 'item or end' | 'item' | 'comma or end' | 'end';

/**
 * Cuts a request body, chunk by chunk as it comes, into its events: the top-level object, or the objects of the top-level array. Each is parsed
 * as soon as its last byte is in, so no more than one unparsed event is held; of one that is too large only the size is. An empty body has no
 * events; a byte order mark may lead. Contract: semantics 3.2, 3.3.
 */
export class EventSplitter {
  private place: Place = 'start';
  private inList = false;
  private markBytes = 0;
  /** Events that have begun. */
  private begun = 0;
  private failure: Fault | undefined;

  private inEvent = false;
  private depth = 0;
  private inString = false;
  private escaped = false;
  private bytes = 0;
  /** The event's bytes from earlier chunks lead it. */
  private held = Buffer.alloc(0);

  /** Refuses bytes that are no UTF-8. */
  private readonly decoder = new TextDecoder('utf-8', { fatal: true });

  constructor(private readonly limits: SplitLimits = LIMITS_OF_A_REQUEST) {}

  /** Whether the body is an array, as far as its bytes are in. */
  get isList(): boolean {
    return this.inList;
  }

  /**
   * Takes the next bytes.
   * @returns the events that they complete, in order
   * @throws body_unreadable, body_too_deep, event_body_invalid, event_too_large, events_too_many; in an array `data.index` counts its items
   *     from 0. Each further call throws the same.
   */
  push(chunk: Uint8Array): readonly SplitEvent[] {
    if (this.failure) throw this.failure;
    const events: SplitEvent[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (!this.inEvent && !this.beginsEvent(chunk[at] as number)) {
        at++;
        continue;
      }
      const end = this.scan(chunk, at);
      const piece = chunk.subarray(at, end);
      if (this.inEvent) this.hold(piece);
      else events.push(this.complete(piece));
      at = end;
    }
    return events;
  }

  /**
   * Says that there are no more bytes.
   * @throws body_unreadable when something is missing; event_too_large when that is the end of an event that is over its bound already
   */
  end(): void {
    if (this.failure) throw this.failure;
    if (this.inEvent && this.bytes > this.limits.eventBytesMax) this.fail(this.tooLarge());
    const isEmpty = this.place === 'start' && (this.markBytes === 0 || this.markBytes === BYTE_ORDER_MARK.length);
    if (this.inEvent || (this.place !== 'end' && !isEmpty))
      this.fail(new Fault('body_unreadable', this.item(this.begun)));
  }

  /** Takes one byte outside of events; where it begins an event it is still to be scanned. */
  private beginsEvent(byte: number): boolean {
    const { place } = this;
    if (place === 'start' && this.takesMark(byte)) return false;
    if (byte === SPACE || byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === TAB) return false;
    const wantsItem = place === 'item' || place === 'item or end';
    if (byte === OPEN_OBJECT && (wantsItem || place === 'start')) return this.begin();
    if (byte === OPEN_ARRAY && place === 'start') {
      this.inList = true;
      this.place = 'item or end';
    } else if (byte === COMMA && place === 'comma or end') {
      this.place = 'item';
    } else if (byte === CLOSE_ARRAY && (place === 'comma or end' || place === 'item or end')) {
      this.place = 'end';
    } else {
      const isOther = place === 'start' || (wantsItem && OTHER_VALUES.has(byte));
      this.fail(new Fault(isOther ? 'event_body_invalid' : 'body_unreadable', this.item(this.begun)));
    }
    return false;
  }

  private takesMark(byte: number): boolean {
    if (byte === BYTE_ORDER_MARK[this.markBytes]) {
      this.markBytes++;
      return true;
    }
    if (this.markBytes > 0 && this.markBytes < BYTE_ORDER_MARK.length) this.fail(new Fault('event_body_invalid'));
    this.markBytes = BYTE_ORDER_MARK.length;
    return false;
  }

  private begin(): true {
    if (this.begun === this.limits.eventsMax) this.fail(new Fault('events_too_many', { max: this.limits.eventsMax }));
    this.begun++;
    this.place = this.inList ? 'comma or end' : 'end';
    this.inEvent = true;
    this.bytes = 0;
    return true;
  }

  /**
   * Goes on to the end of the event, or of the chunk. Only strings and the depth matter here; what stands between the brackets, and whether
   * they fit each other, JSON.parse will say.
   * @returns the index after the last byte that belongs to the event
   */
  private scan(chunk: Uint8Array, from: number): number {
    let { depth, inString, escaped } = this;
    let at = from;
    for (; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) {
        inString = true;
      } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        if (++depth > this.limits.depthMax) this.fail(new Fault('body_too_deep', this.item(this.begun - 1)));
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (--depth === 0) {
          this.inEvent = false;
          at++;
          break;
        }
      }
    }
    this.depth = depth;
    this.inString = inString;
    this.escaped = escaped;
    return at;
  }

  /** One buffer, not a list of pieces: a sender of single bytes would make that list many times as large as the event. */
  private hold(piece: Uint8Array): void {
    const bytes = this.bytes + piece.length;
    if (bytes > this.limits.eventBytesMax) this.held = Buffer.alloc(0);
    else {
      if (bytes > this.held.length) this.held = Buffer.concat([this.held], Math.max(bytes, 2 * this.held.length));
      this.held.set(piece, this.bytes);
    }
    this.bytes = bytes;
  }

  private complete(piece: Uint8Array): SplitEvent {
    const isAlone = this.bytes === 0;
    if (isAlone) this.bytes = piece.length;
    else this.hold(piece);
    const { bytes } = this;
    if (bytes > this.limits.eventBytesMax) this.fail(this.tooLarge());
    try {
      const text = this.decoder.decode(isAlone ? piece : this.held.subarray(0, bytes));
      return { value: JSON.parse(text) as unknown, bytes };
    } catch {
      // What the parser says quotes the payload, so it is not kept as the cause.
      return this.fail(new Fault('body_unreadable', this.item(this.begun - 1)));
    }
  }

  private tooLarge(): Fault {
    const fault = eventTooLarge(this.bytes, this.limits.eventBytesMax);
    return new Fault(fault.code, { ...fault.data, ...this.item(this.begun - 1) }, { message: fault.message });
  }

  private item(index: number): Readonly<Record<string, unknown>> {
    return this.inList ? { index } : {};
  }

  private fail(fault: Fault): never {
    this.held = Buffer.alloc(0);
    this.failure = fault;
    throw fault;
  }
}

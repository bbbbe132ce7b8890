import type { Env, EpochMs, Json } from '../words.js';

/** An event as it stands on the `events` topic. */
export interface StoredEvent {
  /** ULID made by the server; deterministic where the sender gave a seed. */
  readonly internalId: string;
  readonly env: Env;
  /** The user's `id`, or the internal one. */
  readonly id: string;
  readonly name: string;
  /** The event's own time. */
  readonly ts: EpochMs;
  readonly receivedAt: EpochMs;
  /** The event as functions see it: `{"data":{},"id":"","name":"","ts":0,"user":{}}`, plus `v` and `meta` when given. */
  readonly payload: Json;
  /** Where it came from: `api`, `internal`, `invoke`, `cron`, `kafka`. */
  readonly source: string;
  /** Only on events that the server makes: what they are for. */
  readonly internal?: InternalEvent;
  /** W3C trace context of the sender. */
  readonly trace?: string;
  /** The revision of apps and functions that its door knew: what it starts is looked up in that one or a later one. */
  readonly catalog?: number;
}

export type InternalEvent =
  | {
      readonly kind: 'invoke';
      readonly functionRef: string;
      readonly parent?: InvokeParent;
      readonly expiresAt?: EpochMs;
    }
  | {
      readonly kind: 'finished';
      readonly runId: string;
      readonly parents: readonly InvokeParent[];
      readonly result: InvokeResult;
    }
  | { readonly kind: 'lifecycle'; readonly runId: string }
  | { readonly kind: 'cron'; readonly functionId: string; readonly scheduledAt: EpochMs };

/** The step that waits for an invoked run. */
export interface InvokeParent {
  readonly runId: string;
  readonly stepId: string;
}

/** What an invoking step gets: the memo's one key and its value. */
export type InvokeResult = { readonly data: Json } | { readonly error: Json };

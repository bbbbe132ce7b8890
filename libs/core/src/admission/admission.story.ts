import type { InvokeParent, StoredEvent } from '../event/event.js';
import type { FunctionConfig, FunctionVersion } from '../function/function.config.js';
import { canonical } from '../json.js';
import type { ScheduleRun } from '../run/run.commands.js';
import type { EpochMs } from '../words.js';
import type { Source } from '../origin.js';
import type { Admission, AdmissionCommand, Offer, Stage, StageOf } from './admission.js';
import { decideAdmission } from './admission.decide.js';
import type { AdmissionDecision } from './admission.decision.js';

/** What stories and laws of admission are told with. */

export const START: EpochMs = 1_800_000_000_000;
export const ENV = 'env';
export const FN_ID = 'fn';

export function functionOf(config: Partial<FunctionConfig> = {}): FunctionVersion {
  return {
    id: FN_ID,
    env: ENV,
    appId: 'app',
    appName: 'shop',
    version: 3,
    config: {
      slug: 'shop-charge',
      name: 'Charge',
      triggers: [],
      url: 'http://app/charge',
      retries: 4,
      cancelOn: [],
      timeouts: {},
      ...config,
    },
  };
}

export interface EventParts extends Partial<Omit<StoredEvent, 'payload'>> {
  readonly data?: unknown;
  /** The step that invoked the function by it. */
  readonly parent?: InvokeParent;
}

/** An event without an id of its sender's, unless one is given. */
export function eventOf(internalId: string, { data = {}, parent, ...parts }: EventParts = {}): StoredEvent {
  const { id = internalId, name = 'shop/order', ts = START } = parts;
  return {
    internalId,
    env: ENV,
    id,
    name,
    ts,
    receivedAt: START,
    payload: canonical({ data, id, name, ts, user: {} }),
    source: 'api',
    ...(parent && { internal: { kind: 'invoke', functionRef: 'shop-charge', parent } }),
    ...parts,
  };
}

const RUN: Omit<ScheduleRun, 'runId' | 'events' | 'eventIds' | 'eventName' | 'parents' | 'startAt' | 'at'> = {
  type: 'ScheduleRun',
  env: ENV,
  functionId: FN_ID,
  functionSlug: 'shop-charge',
  functionVersion: 3,
  appId: 'app',
  appName: 'shop',
  maxAttempts: 5,
  cancelOn: [],
};

/** An event that is to become a run, named after it unless said otherwise. */
export function offerOf(
  event: StoredEvent,
  parts: Partial<Omit<Offer, 'run'>> & { readonly run?: Partial<ScheduleRun> } = {},
): Offer {
  const { payload, ...offered } = event;
  const { internalId, name, ts, internal } = event;
  const parents = internal?.kind === 'invoke' && internal.parent ? [internal.parent] : [];
  const { run, ...rest } = parts;
  return {
    event: offered,
    run: {
      ...RUN,
      runId: `run-${internalId}`,
      at: START,
      startAt: ts,
      events: [payload],
      eventIds: [internalId],
      eventName: name,
      parents,
      ...run,
    },
    then: [],
    ...rest,
  };
}

export const RATE: StageOf<'rate'> = { kind: 'rate', key: 'rate:k', value: 'k', limit: 1, periodMs: 10_000 };
export const DEBOUNCE: StageOf<'debounce'> = { kind: 'debounce', key: 'debounce:k', value: 'k', periodMs: 2_000 };
export const BATCH: StageOf<'batch'> = {
  kind: 'batch',
  key: 'batch:k',
  value: 'k',
  maxSize: 3,
  timeoutMs: 5_000,
  bytesMax: 10 * 1024 * 1024,
};
export const ONCE: StageOf<'once'> = { kind: 'once', key: 'once:k', value: 'k' };
export const SKIP: StageOf<'singleton'> = { kind: 'singleton', key: 'singleton:k', value: 'k', mode: 'skip' };
export const CANCEL: StageOf<'singleton'> = { ...SKIP, mode: 'cancel' };

export function offerRun(stage: Stage, offer: Offer, at: EpochMs, source: Source): AdmissionCommand {
  return { type: 'OfferRun', env: ENV, functionId: FN_ID, key: stage.key, at, stage, offer, source };
}

/** One control that takes commands by hand. Times are ms after the start; each event stands behind the one before on `events`. */
export class Control {
  state: Admission | undefined;
  /** Of the command that is taken next. */
  offset = 0;
  private eventOffset = 0;

  constructor(private readonly key: string) {}

  take(command: AdmissionCommand): AdmissionDecision {
    const position = { partition: 7, offset: this.offset++ };
    const decision = decideAdmission(frozen(this.state), frozen(command), position);
    this.state = decision.next;
    return decision;
  }

  offer(stage: Stage, event: StoredEvent, atMs = 0, parts: Parameters<typeof offerOf>[1] = {}): AdmissionDecision {
    const source: Source = { topic: 'events', partition: 0, offset: this.eventOffset++ };
    return this.take(offerRun(stage, offerOf(event, parts), START + atMs, source));
  }

  /** @param offer what becomes of it; absent: the function is gone */
  fire(turn: number, atMs: number, offer?: Offer): AdmissionDecision {
    return this.take({ ...this.base(atMs), type: 'FireAdmission', turn, ...(offer && { offer }) });
  }

  release(runId: string, atMs = 0): AdmissionDecision {
    return this.take({ ...this.base(atMs), type: 'ReleaseSingleton', runId });
  }

  spend(runId: string, tatMs: number, atMs = 0): AdmissionDecision {
    return this.take({ ...this.base(atMs), type: 'SpendThrottle', runId, tat: START + tatMs });
  }

  forget(atMs: number): AdmissionDecision {
    return this.take({ ...this.base(atMs), type: 'ForgetAdmission' });
  }

  private base(atMs: number) {
    return { env: ENV, functionId: FN_ID, key: this.key, at: START + atMs };
  }
}

/** Whoever writes to it throws. What is frozen already has been frozen to its depth. */
export function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const member of Object.values(value)) frozen(member);
  return Object.freeze(value);
}

/** What was decided, a line for each transition and effect, with the numbers that a story is about. */
export function told({ transitions, effects, ignored }: AdmissionDecision): readonly string[] {
  if (ignored !== undefined) return [ignored];
  return [
    ...transitions.map((t) => {
      switch (t.type) {
        case 'RateCharged':
        case 'RateLimited':
          return `${t.type} ${t.eventId} next ${t.nextAt - START}`;
        case 'DebounceOpened':
          return `${t.type} ${t.eventId} due ${t.dueAt - START}`;
        case 'DebounceMoved':
          return `${t.type} ${t.eventId} for ${t.superseded} due ${t.dueAt - START}`;
        case 'DebounceOutdated':
          return `${t.type} ${t.eventId} by ${t.kept}`;
        case 'DebounceFired':
          return `${t.type} ${t.eventId} over ${t.superseded}`;
        case 'BatchOpened':
        case 'BatchJoined':
          return `${t.type} ${t.eventId} as ${t.size} due ${t.dueAt - START}`;
        case 'BatchFired':
          return `${t.type} ${t.eventId} of ${t.size} by ${t.by}`;
        case 'EventIdTaken':
          return `${t.type} ${t.runId} until ${t.until - START}`;
        case 'SingletonTaken':
          return `${t.type} ${t.runId}${t.from === undefined ? '' : ` from ${t.from}`}`;
        case 'SingletonSkipped':
          return `${t.type} ${t.runId} for ${t.holder}`;
        case 'SingletonReleased':
        case 'ThrottleSpent':
          return `${t.type} ${t.runId}`;
        case 'AdmissionForgotten':
          return t.type;
        default:
          return `${t.type} ${t.eventId}`;
      }
    }),
    ...effects.map((effect) => (effect.kind === 'command' ? `> ${effect.command.type} ${effect.key}` : '> event')),
  ];
}

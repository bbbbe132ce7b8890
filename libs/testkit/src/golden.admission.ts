import type { AdmissionCommand, Offer } from '#core/admission/admission.js';
import type { Source } from '#core/origin.js';
import { passOn } from '#core/admission/admission.decision.js';
import { planAdmission } from '#core/admission/admission.plan.js';
import type { Command } from '#core/effects.js';
import type { StoredEvent } from '#core/event/event.js';
import { throttleKey } from '#core/flow/flow.js';
import type { FunctionConfig, FunctionVersion } from '#core/function/function.config.js';
import { canonical } from '#core/json.js';
import { ENV, START } from './run.story.js';

/** Commands to the controls before a run, as the intake, the alarms and the executor write them. */

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

function functionWith(id: string, config: Partial<FunctionConfig>): FunctionVersion {
  return {
    id,
    env: ENV,
    appId: 'a',
    appName: 'app',
    version: 2,
    config: {
      slug: `app-${id}`,
      name: id,
      triggers: [{ event: 'go' }],
      url: 'http://app/go',
      retries: 4,
      cancelOn: [],
      timeouts: {},
      ...config,
    },
  };
}

let events = 0;
let deliveries = 0;

interface How {
  readonly at?: number;
  readonly n?: number;
  readonly id?: string;
  readonly ts?: number;
  readonly invoked?: boolean;
  readonly paused?: boolean;
}

interface Offered {
  readonly runId: string;
  readonly offer: Offer;
  /** Of what it is offered to first. */
  readonly key: string;
  readonly at: number;
}

function offered(fn: FunctionVersion, { at = 0, n = 1, id, ts, invoked, paused = false }: How = {}): Offered {
  const number = ++events;
  const internalId = `01E${String(number).padStart(23, '0')}`;
  const receivedAt = START + at;
  const name = invoked ? 'inngest/function.invoked' : 'go';
  const parent = { runId: 'P1', stepId: 'i1' };
  const event: StoredEvent = {
    internalId,
    env: ENV,
    id: id ?? internalId,
    name,
    ts: START + (ts ?? at),
    receivedAt,
    payload: canonical({ data: { n, tenant: 'acme' }, id: id ?? internalId, name, ts: START + (ts ?? at), user: {} }),
    source: invoked ? 'internal' : 'api',
    ...(invoked ? { internal: { kind: 'invoke', functionRef: fn.config.slug, parent } } : {}),
  };
  const runId = `R-${fn.id}-${number}`;
  const plan = planAdmission({
    fn,
    event,
    runId,
    at: receivedAt,
    paused,
    ...(invoked ? { parent } : {}),
  });
  if (plan.kind === 'refused') throw new Error(`a golden offer is refused: ${plan.error}`);
  const [stage] = plan.offer.then;
  return { runId, offer: plan.offer, key: stage?.key ?? runId, at: receivedAt };
}

const rated = functionWith('rated', { rateLimit: { limit: 1, periodMs: MINUTE, key: 'event.data.tenant' } });
const idempotent = functionWith('idempotent', { idempotency: 'event.data.n' });
const debounced = functionWith('debounced', {
  debounce: { periodMs: 2_000, timeoutMs: 5_000, key: 'event.data.tenant' },
});
const batched = functionWith('batched', {
  batch: { maxSize: 2, timeoutMs: 5_000, key: 'event.data.tenant' },
  concurrency: { step: [{ limit: 2, scope: 'env', key: 'event.data.tenant' }], fn: [{ limit: 1, scope: 'fn' }] },
});
const skipping = functionWith('skipping', { singleton: { mode: 'skip', key: 'event.data.tenant' } });
const cancelling = functionWith('cancelling', { singleton: { mode: 'cancel' }, priority: 'event.data.n' });
const throttled = functionWith('throttled', { throttle: { limit: 1, periodMs: 10_000, burst: 0 } });

type Keyed = readonly [key: string, command: Command];

/** As the intake posts it. */
function posted({ offer, at }: Offered): Keyed {
  return passed(offer, { topic: 'events', partition: 0, offset: deliveries++ }, at);
}

/** The delivery that was posted last, once more. */
function again({ offer, at }: Offered): Keyed {
  return passed(offer, { topic: 'events', partition: 0, offset: deliveries - 1 }, at);
}

function passed(offer: Offer, source: Source, at: number): Keyed {
  const { key, command } = passOn(offer, source, at);
  return [key, command];
}

function fired(fn: FunctionVersion, key: string, at: number, turn: number, offer?: Offer): Keyed {
  const base = { env: ENV, functionId: fn.id, key, at: START + at };
  return [key, { ...base, type: 'FireAdmission', turn, ...(offer ? { offer } : {}) }];
}

function forgotten(fn: FunctionVersion, key: string, at: number): Keyed {
  return [key, { type: 'ForgetAdmission', env: ENV, functionId: fn.id, key, at: START + at }];
}

function released(fn: FunctionVersion, key: string, runId: string, at: number): Keyed {
  return [key, { type: 'ReleaseSingleton', env: ENV, functionId: fn.id, key, at: START + at, runId }];
}

function spent(runId: string, at: number, tat: number): Keyed {
  const key = throttleKey(ENV, throttled.id, { value: '' });
  const command: AdmissionCommand = {
    type: 'SpendThrottle',
    env: ENV,
    functionId: throttled.id,
    key,
    at: START + at,
    runId,
    tat: START + tat,
  };
  return [key, command];
}

/** What comes behind a stage, as its aggregate passes it on from a place of the log. */
function onward({ offer }: Offered, offset: number): Keyed {
  const [, ...then] = offer.then;
  return passed({ ...offer, then }, { topic: 'commands', partition: 0, offset }, START + 1);
}

/** @returns always the same */
export function admissionCommands(): readonly Keyed[] {
  events = deliveries = 0;
  const charged = offered(rated, { id: 'mine' });
  const debounceKey = offered(debounced).key;
  const kept = offered(debounced, { at: 1_000, n: 2 });
  const batch = offered(batched, { at: 100 });
  const holder = offered(skipping);
  const early = offered(cancelling, { n: 50 });
  const late = offered(cancelling, { at: 10, n: -5 });
  return [
    posted(charged),
    again(charged),
    posted(offered(rated, { at: 10 })),
    posted(offered(rated, { at: 20, invoked: true })),
    onward(charged, 500),
    onward(charged, 500),
    onward(offered(rated, { at: 2 * MINUTE, id: 'mine' }), 501),
    posted(offered(idempotent)),
    posted(offered(idempotent, { at: 5 })),

    posted(offered(debounced)),
    posted(kept),
    posted(offered(debounced, { at: 1_500, ts: 1 })),
    fired(debounced, debounceKey, 2_000, 1, kept.offer),
    fired(debounced, debounceKey, 2_000, 2, kept.offer),
    fired(debounced, debounceKey, 3_000, 2, kept.offer),
    posted(offered(debounced, { at: 4_000, invoked: true })),
    posted(offered(debounced, { at: 4_500 })),
    fired(debounced, debounceKey, 9_000, 4),

    posted(batch),
    posted(offered(batched, { at: 200, invoked: true })),
    posted(offered(batched, { at: 300 })),
    fired(batched, batch.key, 5_300, 2, batch.offer),
    posted(offered(batched, { at: 6_000 })),
    fired(batched, batch.key, 11_000, 3),
    posted(offered(batched, { at: 12_000, paused: true })),

    posted(holder),
    posted(offered(skipping, { at: 10 })),
    released(skipping, holder.key, 'R-other', 20),
    released(skipping, holder.key, holder.runId, 30),
    posted(offered(skipping, { at: 40 })),
    posted(early),
    posted(late),

    spent('R1', 0, 10_000),
    spent('R2', 10_000, 20_000),
    spent('R1', 10_000, 10_000),

    forgotten(rated, charged.key, 5 * MINUTE),
    forgotten(rated, charged.key, DAY),
    forgotten(skipping, holder.key, DAY),
    forgotten(throttled, throttleKey(ENV, throttled.id, { value: '' }), DAY),
    forgotten(throttled, throttleKey(ENV, throttled.id, { value: '' }), DAY),
  ];
}

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IntakeTransition, PlacedDecision } from '#core/admission/admission.js';
import type { AppVersion, FunctionVersion } from '#core/function/function.config.js';
import { DEFAULT_ENV } from '#core/words.js';
import type { DeadLetter, LogRecord, Topic } from '#ports/event-log.port.js';
import { recordOfCommand, recordOfDeadLetter, recordOfEvent } from '#ports/records.js';
import type { GoldenCommand, GoldenDecision, Replay } from './golden.replay.js';
import { START } from './run.story.js';

/** Records of every type: what the kept logs hold, and by hand what they do not. */

const GOLDEN = join(import.meta.dirname, '../../core/golden');

export interface GoldenLog {
  readonly version: string;
  /** Commands, and what came of them: transitions and internal events, as they stand on the topics. */
  readonly records: readonly LogRecord[];
  /** What was left of each aggregate in the end. */
  readonly states: Replay['states'];
}

/** The logs of this version and of older ones. */
export function goldenLogs(): readonly GoldenLog[] {
  return readdirSync(GOLDEN)
    .filter((name) => /^v\d+$/.test(name))
    .map((version) => {
      const commands = read<GoldenCommand>(version, 'commands');
      const decisions = read<GoldenDecision>(version, 'decisions');
      const records = commands.flatMap(({ key, body }, offset) => [
        recordOfCommand(key, body),
        ...recordsOf(decisions[offset], body.env, offset),
      ]);
      return { version, records, states: read<Replay['states'][number]>(version, 'states') };
    });
}

function recordsOf(decision: GoldenDecision | undefined, env: string, offset: number): readonly LogRecord[] {
  const { key, transitions, effects } = decision ?? { key: '', transitions: [], effects: [] };
  return [
    ...effects.flatMap((effect) => (effect.kind === 'event' ? [recordOfEvent(effect.event)] : [])),
    ...transitions.map((transition, index): LogRecord => {
      const body = { runId: key, command: { partition: 0, offset }, index, transition };
      return placed('transitions', key, transition.type, env, (transition as unknown as { at: number }).at, body);
    }),
  ];
}

function read<T>(version: string, file: string): readonly T[] {
  const lines = readFileSync(join(GOLDEN, version, `${file}.jsonl`), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line) as T);
}

function placed(topic: Topic, key: string, type: string, env: string, at: number, body: unknown): LogRecord {
  return { topic, key, type, schema: 1, env, at, body };
}

const ID = '01KH3G0000Q5R2V7N0B4T8X1ZD';
const FUNCTION_ID = '6d0c7a3e-4c1f-5b1e-9f5e-0a4b6f7f2c11';
const APP_ID = '0f6a8f58-9f0d-5f42-8f1c-7a2f7f1f0b4a';

const app: AppVersion = {
  id: APP_ID,
  env: DEFAULT_ENV,
  name: 'shop',
  url: 'http://localhost:3000/api/inngest',
  method: 'SERVE',
  sdk: 'inngest-js:v4.24.0',
  framework: 'express',
  appVersion: '7f3c2e1',
  checksum: 'a5e7c0f1',
  syncedAt: START,
  error: { code: 'http_unreachable', message: 'The app cannot be reached.' },
};

const fn: FunctionVersion = {
  id: FUNCTION_ID,
  env: DEFAULT_ENV,
  appId: APP_ID,
  appName: 'shop',
  version: 3,
  config: {
    slug: 'shop-order',
    name: 'Order',
    triggers: [
      { event: 'shop/order.placed', expression: 'event.data.total > 0' },
      { cron: '0 * * * *', jitterMs: 5_000 },
    ],
    url: 'http://localhost:3000/api/inngest?fnId=shop-order&stepId=step',
    retries: 4,
    concurrency: { step: [{ limit: 5, key: 'event.data.tenant', scope: 'env' }], fn: [{ limit: 1, scope: 'fn' }] },
    throttle: { limit: 10, periodMs: 60_000, burst: 2, key: 'event.data.tenant' },
    rateLimit: { limit: 100, periodMs: 60_000 },
    debounce: { periodMs: 2_000, key: 'event.data.cart', timeoutMs: 60_000 },
    batch: { maxSize: 50, timeoutMs: 5_000, key: 'event.data.tenant', if: 'event.data.total < 10' },
    singleton: { key: 'event.data.cart', mode: 'skip' },
    idempotency: 'event.data.order',
    priority: 'event.data.vip ? 60 : 0',
    cancelOn: [{ event: 'shop/order.cancelled', if: 'event.data.order == async.data.order', timeout: '1h' }],
    timeouts: { startMs: 60_000, finishMs: 3_600_000 },
    checkpoint: { bufferedSteps: 10, maxRuntime: '60s', maxInterval: null, ratio: 0.5 },
  },
  archivedAt: START,
  paused: { at: START, running: 'hold' },
};

const letter: DeadLetter = {
  origin: { topic: 'events', partition: 3, offset: 1_204 },
  key: 'order-7',
  type: 'Event',
  schema: 1,
  at: START,
  bytes: Buffer.from('{"name":').toString('base64'),
  reason: 'The value is not JSON: Unexpected end of JSON input',
};

function intake(transition: IntakeTransition): LogRecord {
  const runId = `intake:${DEFAULT_ENV}:${transition.functionId}`;
  const body: PlacedDecision = { runId, event: { partition: 3, offset: 1_205 }, index: 0, transition };
  return placed('transitions', runId, transition.type, DEFAULT_ENV, transition.at, body);
}

/** What no kept log holds. */
export function moreRecords(): readonly LogRecord[] {
  const { checkpoint: _checkpoint, ...plain } = fn.config;
  const told = { at: START, functionId: FUNCTION_ID, eventId: ID };
  const event = {
    internalId: ID,
    env: DEFAULT_ENV,
    id: 'order-7',
    name: 'shop/order.placed',
    ts: START,
    receivedAt: START,
  };
  const payload = '{"data":{"total":7},"id":"order-7","name":"shop/order.placed","ts":1800000000000,"user":{}}';
  const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  return [
    recordOfEvent({ ...event, payload, source: 'api', trace }),
    intake({ ...told, type: 'ExpressionRefused', control: 'rateLimit.key', error: 'no such key: tenant' }),
    intake({ ...told, type: 'EventRepeated', key: 'order-7', first: ID }),
    placed('config', `app:${APP_ID}`, 'App', DEFAULT_ENV, START, app),
    placed('config', `function:${FUNCTION_ID}`, 'Function', DEFAULT_ENV, START, fn),
    placed('config', `function:${FUNCTION_ID}`, 'Function', DEFAULT_ENV, START, {
      id: FUNCTION_ID,
      env: DEFAULT_ENV,
      appId: APP_ID,
      appName: 'shop',
      version: 4,
      config: { ...plain, triggers: [], cancelOn: [], timeouts: {} },
    } satisfies FunctionVersion),
    placed('snapshots', `run/${ID}`, 'Snapshot', DEFAULT_ENV, START, { space: 'run', id: ID, state: '{"id":"…"}' }),
    placed('snapshots', 'mark', 'SnapshotMark', DEFAULT_ENV, START, {
      commands: { partition: 0, offset: 73_002 },
      events: { partition: 0, offset: 41_870 },
    }),
    placed('snapshots', 'mark', 'SnapshotMark', DEFAULT_ENV, START, { commands: { partition: 0, offset: 0 } }),
    placed('snapshots', `run/${ID}`, 'Snapshot', DEFAULT_ENV, START, undefined),
    recordOfDeadLetter(letter, DEFAULT_ENV, START),
  ];
}

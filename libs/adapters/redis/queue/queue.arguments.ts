import { hash } from 'node:crypto';
import { bucketKey, throttleKey, type FlowKey, type RunFlow } from '#core/flow/flow.js';
import { groupName, lineName } from '#core/flow/flow.numbers.js';
import type { BacklogLine, RunSlot, WorkItem } from '#core/flow/flow.work.js';
import type { QueueChange } from '#ports/work-queue.port.js';

/** What the script is told. All names are made here, by the functions of the model. */

/** The keys of items, as the script keeps them: once for all items that have the same. */
interface Keyring {
  readonly line: string;
  /** For people, as JSON. */
  readonly keys: string;
  /** Those of whole runs come last; only first requests pass them. */
  readonly gates: readonly (FlowKey & { readonly kind: 'step' | 'run'; readonly bucket: string })[];
  readonly throttle?: { readonly key: string; readonly expression?: string; readonly value: string };
  /** Of first requests, and of all others. */
  readonly starts: GroupNames;
  readonly others: GroupNames;
}

interface GroupNames {
  readonly name: string;
  /** Short, and among groups of one line in the order of their names: those differ in the side and in the limits, and in nothing before. */
  readonly order: string;
}

/** How many things one call is told: none keeps the others waiting for long. */
const PART_MAX = 200;

const NO_CHANGE: QueueChange = { withdraw: [], vacate: [], occupy: [], throttled: [], enqueue: [] };

/** A change in parts that follow each other; at least one. */
export function partsOf(change: Partial<QueueChange>): QueueChange[] {
  const parts = FIELDS.flatMap((field) => {
    const all = change[field] ?? [];
    const count = Math.ceil(all.length / PART_MAX);
    return Array.from({ length: count }, (_, n) => ({
      ...NO_CHANGE,
      [field]: all.slice(n * PART_MAX, (n + 1) * PART_MAX),
    }));
  });
  return parts.length > 0 ? parts : [NO_CHANGE];
}

/** In the order in which they are applied. */
const FIELDS = ['withdraw', 'vacate', 'occupy', 'throttled', 'enqueue'] as const;

/** Key of the bucket that counts all requests in progress of a function. */
export function ownBucket(functionId: string): string {
  return bucketKey('step', '', functionId, { scope: 'fn', value: '', limit: 0 });
}

/** A change, as one text and the items after it. */
export function changeArguments(change: QueueChange): string[] {
  const keyrings: Record<string, Keyring> = {};
  const items = change.enqueue.flatMap((item) => itemArguments(item, keyrings));
  const { withdraw, vacate } = change;
  const occupy = change.occupy.map(slotArgument);
  const throttled = change.throttled.map(({ key, tat }) => [key, tat]);
  return [JSON.stringify({ withdraw, vacate, occupy, throttled, keyrings }), ...items];
}

function slotArgument({ runId, env, functionId, key }: RunSlot): [string, string] {
  return [runId, bucketKey('run', env, functionId, key)];
}

function itemArguments(item: WorkItem, keyrings: Record<string, Keyring>): string[] {
  const { id, runId, functionId, dueAt, rank, starts, underWay } = item;
  const keyring = keyringOf(item);
  let name = '';
  if (keyring) {
    name = hash('sha1', JSON.stringify(keyring), 'base64url');
    keyrings[name] = keyring;
  }
  const flags = (starts ? 's' : '') + (underWay ? 'u' : '');
  const text = JSON.stringify(item);
  return [id, runId, functionId, ownBucket(functionId), String(dueAt), String(rank), flags, name, text];
}

function keyringOf({ env, functionId, flow }: WorkItem): Keyring | undefined {
  if (!flow || lineName(flow) === '') return undefined;
  const { step = [], run, throttle } = flow;
  return {
    line: lineName(flow),
    keys: JSON.stringify(keysOf(flow)),
    gates: [
      ...step.map((key) => ({ kind: 'step' as const, ...key, bucket: bucketKey('step', env, functionId, key) })),
      ...(run ? [{ kind: 'run' as const, ...run, bucket: bucketKey('run', env, functionId, run) }] : []),
    ],
    ...(throttle ? { throttle: { ...throttle, key: throttleKey(env, functionId, throttle) } } : {}),
    starts: groupNames(flow, true),
    others: groupNames(flow, false),
  };
}

function groupNames(flow: RunFlow, starts: boolean): GroupNames {
  const limits = [...(flow.step ?? []), ...(starts && flow.run ? [flow.run] : [])].map(({ limit }) => `${limit}]`);
  return { name: groupName(flow, starts), order: [starts ? 'starts' : 'others', ...limits].join('') };
}

function keysOf({ step = [], run, throttle }: RunFlow): BacklogLine['keys'] {
  const named = (expression: string | undefined) => (expression === undefined ? {} : { expression });
  return [
    ...step.map(({ expression, value }) => ({ limit: 'step' as const, ...named(expression), value })),
    ...(run ? [{ limit: 'run' as const, ...named(run.expression), value: run.value }] : []),
    ...(throttle ? [{ limit: 'throttle' as const, ...named(throttle.expression), value: throttle.value }] : []),
  ];
}

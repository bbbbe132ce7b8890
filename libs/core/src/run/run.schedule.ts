import { waitUntil } from '../duration.js';
import type { InternalEvent, InvokeParent, StoredEvent } from '../event/event.js';
import { foldsFalse } from '../expression/expression.bind.js';
import { compile, MATCH_ROOTS } from '../expression/expression.compile.js';
import type { RunFlow } from '../flow/flow.js';
import type { CancelOn, FunctionVersion } from '../function/function.config.js';
import { LIMITS } from '../limits.js';
import type { EpochMs } from '../words.js';
import type { CancelWatch, ScheduleRun } from './run.commands.js';

export interface Scheduling {
  readonly runId: string;
  readonly fn: FunctionVersion;
  readonly event: StoredEvent;
  readonly at: EpochMs;
  readonly cron?: Extract<InternalEvent, { kind: 'cron' }> | undefined;
  readonly parent?: InvokeParent | undefined;
  readonly flow?: RunFlow | undefined;
}

/** The command that starts a run of a function for an event. What of the configuration stays with the run is taken here: contract 29, 9. */
export function scheduleRun({ runId, fn, event, at, cron, parent, flow }: Scheduling): ScheduleRun {
  const { config } = fn;
  const startTimeoutMs = config.timeouts.startMs;
  return {
    type: 'ScheduleRun',
    runId,
    env: event.env,
    at,
    functionId: fn.id,
    functionSlug: config.slug,
    functionVersion: fn.version,
    appId: fn.appId,
    appName: fn.appName,
    events: [event.payload],
    eventIds: [event.internalId],
    eventName: event.name,
    // An event dated in the future delays the start; the run exists at once.
    startAt: event.internal ? at : event.ts,
    maxAttempts: config.retries + 1,
    parents: parent ? [parent] : [],
    cancelOn: config.cancelOn.flatMap((entry) => watchFor(entry, event)),
    ...(startTimeoutMs === undefined ? {} : { startTimeoutMs }),
    ...(cron ? { cron: cronOf(event) } : {}),
    ...(flow === undefined ? {} : { flow }),
    ...(event.trace === undefined ? {} : { trace: event.trace }),
  };
}

/** A `cancelOn` entry as a watch, unless it can never match for this event. Counted from the event's receipt: what comes right behind it counts. */
function watchFor(entry: CancelOn, event: StoredEvent): readonly CancelWatch[] {
  if (entry.if !== undefined) {
    const { expression } = compile(entry.if, { roots: MATCH_ROOTS, policy: 'restricted' });
    if (!expression || foldsFalse(expression, JSON.parse(event.payload))) return [];
  }
  const since = event.receivedAt;
  const asked =
    entry.timeout === undefined ? undefined : waitUntil(entry.timeout, since, Number.MAX_SAFE_INTEGER - since);
  const until = asked && 'at' in asked ? asked.at : since + LIMITS.cancelWatchMsDefault;
  return [{ event: entry.event, ...(entry.if === undefined ? {} : { if: entry.if }), since, until }];
}

function cronOf(event: StoredEvent): string {
  const { data } = JSON.parse(event.payload) as { readonly data?: { readonly cron?: unknown } };
  return typeof data?.cron === 'string' ? data.cron : '';
}

import type { FlowControlView, FunctionView, TriggerView } from '#apps/api/src/functions/function.view.js';
import type { LineView, QueueView } from '#apps/api/src/functions/queue.view.js';
import type { EpochMs } from '#core/words.js';
import { firstLine, lengthText, type Colors } from '../text.js';
import { alignedLines } from './table.text.js';
import { keyText, scopeText, waitText } from './wait.text.js';

/** Told apart by its mark as well as by its colour. */
export function statusText({ paused }: FunctionView, { green, yellow }: Colors): string {
  return paused === null ? green('● Live') : yellow('‖ Paused');
}

/** What became of its runs when it was paused. */
function runsText({ running }: NonNullable<FunctionView['paused']>): string {
  return running === 'cancel' ? 'the runs under way are cancelled' : 'the runs under way are held';
}

/** A function that has just been paused, in a line. */
export function pausedLine(fn: FunctionView, colors: Colors): string {
  const runs = fn.paused === null ? '' : `: its events leave skipped runs, ${runsText(fn.paused)}`;
  return `${statusText(fn, colors)} ${colors.bold(firstLine(fn.slug))}${runs}`;
}

/** Functions as a table, in the order they come. */
export function functionTable(functions: readonly FunctionView[], colors: Colors): readonly string[] {
  const rows = functions.map(({ paused, slug, app_name, triggers, flow_control }) => [
    paused === null ? '● Live' : '‖ Paused',
    firstLine(slug, 60),
    firstLine(app_name, 40),
    firstLine(triggers.map(sourceText).join(', ') || 'invoke only', 60),
    Object.keys(flow_control).join(', '),
  ]);
  const [head = '', ...lines] = alignedLines([['STATUS', 'FUNCTION', 'APP', 'TRIGGERS', 'FLOW CONTROL'], ...rows]);
  return [
    colors.dim(head),
    ...lines.map((line, index) => {
      const fn = functions[index] as FunctionView;
      return statusText(fn, colors) + line.slice(fn.paused === null ? '● Live'.length : '‖ Paused'.length);
    }),
  ];
}

/** One function: what starts it, what holds it back. */
export function functionPicture(fn: FunctionView, now: EpochMs, colors: Colors): readonly string[] {
  const { bold, dim } = colors;
  const { paused } = fn;
  const fact = (name: string, value: string) => `  ${dim(name.padEnd(11))} ${value}`;
  const since = paused === null ? '' : ` for ${lengthText(now - Date.parse(paused.at))}`;
  return [
    `${statusText(fn, colors)}${since}  ${bold(firstLine(fn.slug))} ${firstLine(fn.name)}`,
    fact('app', firstLine(fn.app_name)),
    fact('id', fn.id),
    fact('version', String(fn.version)),
    ...(paused === null ? [] : [fact('paused', `${paused.at}: ${runsText(paused)}`)]),
    ...(fn.triggers.length === 0 ? [fact('trigger', 'none: it is invoked by others')] : []),
    ...fn.triggers.map((trigger) => fact('trigger', triggerText(trigger))),
    ...controlsOf(fn.flow_control).map(([name, words]) => fact(name, words)),
  ];
}

function sourceText(trigger: TriggerView): string {
  return 'event' in trigger ? trigger.event : `cron ${trigger.cron}`;
}

function triggerText(trigger: TriggerView): string {
  if ('cron' in trigger) {
    const jitter = trigger.jitter === undefined ? '' : `, up to ${trigger.jitter} later`;
    return `cron ${firstLine(trigger.cron)}${jitter}`;
  }
  return `event ${firstLine(trigger.event)}${trigger.expression === undefined ? '' : ` where ${firstLine(trigger.expression)}`}`;
}

/** What a function declares of flow control, in words. */
function controlsOf(flow: FlowControlView): readonly (readonly [name: string, words: string])[] {
  const { concurrency, throttle, rateLimit, debounce, batchEvents, singleton, idempotency, priority } = flow;
  const each = (key: string | undefined) => (key === undefined ? '' : ` for each ${firstLine(key)}`);
  const several = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`;
  const controls: (readonly [string, string])[] = [];
  for (const { limit, key, scope } of concurrency?.step ?? [])
    controls.push(['concurrency', `${several(limit, 'call')} at once${each(key)}${scopeText(scope)}`]);
  for (const { limit, key } of concurrency?.fn ?? [])
    controls.push(['concurrency', `${several(limit, 'run')} at once${each(key)}`]);
  if (throttle) {
    const burst = throttle.burst === 0 ? '' : `, ${throttle.burst} more in a burst`;
    controls.push([
      'throttle',
      `${several(throttle.limit, 'start')} per ${throttle.period}${burst}${each(throttle.key)}`,
    ]);
  }
  if (rateLimit)
    controls.push([
      'rate limit',
      `${several(rateLimit.limit, 'run')} per ${rateLimit.period}${each(rateLimit.key)}; further events are dropped`,
    ]);
  if (debounce) {
    const most = debounce.timeout === undefined ? '' : `, ${debounce.timeout} after the first at most`;
    controls.push(['debounce', `${debounce.period} after the last event${most}${each(debounce.key)}`]);
  }
  if (batchEvents) {
    const only = batchEvents.if === undefined ? '' : `, those where ${firstLine(batchEvents.if)}`;
    controls.push([
      'batch',
      `${batchEvents.maxSize} events, or after ${batchEvents.timeout}${each(batchEvents.key)}${only}`,
    ]);
  }
  if (singleton) {
    const other = singleton.mode === 'skip' ? 'further ones are skipped' : 'a further one cancels it';
    controls.push(['singleton', `1 run at a time${each(singleton.key)}; ${other}`]);
  }
  if (idempotency !== undefined) controls.push(['idempotency', `1 run in 24h${each(idempotency)}`]);
  if (priority) controls.push(['priority', `${firstLine(priority.run)}, in seconds`]);
  return controls;
}

/** What waits of a function, a line for the calls under the same keys. */
export function queuePicture(fn: FunctionView, queue: QueueView, now: EpochMs, colors: Colors): readonly string[] {
  const { running, ready, later, next_at, lines } = queue;
  const count = (n: number) => n.toLocaleString('en-US');
  const next = next_at === null ? '' : `; the next may go ${laterText(Date.parse(next_at) - now)}`;
  const title = `${statusText(fn, colors)} ${colors.bold(firstLine(fn.slug))}: ${count(running)} under way, ${count(ready)} due, ${count(later)} later${next}`;
  if (lines.length === 0) return [title];
  const rows = lines.map((line) => [
    count(line.ready),
    count(line.running),
    keysText(line),
    line.wait === null ? '' : waitText(line.wait),
  ]);
  const [head = '', ...rest] = alignedLines([['DUE', 'UNDER WAY', 'KEYS', 'THE FIRST OF THEM'], ...rows]);
  return [title, '', colors.dim(head), ...rest];
}

function laterText(ms: number): string {
  return ms <= 0 ? 'now' : `in ${lengthText(ms)}`;
}

function keysText({ keys }: LineView): string {
  const texts = keys.flatMap(({ expression, value }) => (expression === null ? [] : [keyText(expression, value)]));
  return texts.length === 0 ? 'none' : [...new Set(texts)].join(', ');
}

import type { RunTransition } from '#core/run/run.transitions.js';
import type { EpochMs } from '#core/words.js';
import { firstLine, lengthText, type Colors } from '../text.js';
import {
  beginningOf,
  errorOf,
  isEnded,
  stepsOf,
  tookMs,
  type Beginning,
  type RunView,
  type StepView,
} from './run.view.js';
import { alignedLines } from './table.text.js';
import { callText } from './wait.text.js';

const MARKS: Readonly<Record<RunView['status'], string>> = {
  Scheduled: '○',
  Running: '◐',
  Completed: '✓',
  Failed: '✗',
  Cancelled: '■',
  Skipped: '–',
};

/** A word of a status, told apart by its mark as well as by its colour. */
export function statusText(status: RunView['status'], colors: Colors): string {
  const paint = {
    Scheduled: colors.dim,
    Running: colors.cyan,
    Completed: colors.green,
    Failed: colors.red,
    Cancelled: colors.yellow,
    Skipped: colors.dim,
  };
  return (paint[status] ?? String)(`${MARKS[status] ?? '?'} ${status}`);
}

/** A run that has ended, in a line. */
export function endText(run: RunView, colors: Colors): string {
  const took = tookMs(run);
  const reason = run.status === 'Failed' ? errorOf(run) : undefined;
  return [
    `${statusText(run.status, colors)} ${colors.bold(firstLine(run.function_slug))} ${colors.dim(run.run_id)}`,
    ...(took === undefined ? [] : [`in ${lengthText(took)}`]),
    ...(reason === undefined ? [] : [colors.red(firstLine(reason))]),
  ].join('  ');
}

/** Runs as a table, newest first as they come. */
export function tableOf(runs: readonly RunView[], now: EpochMs, colors: Colors): readonly string[] {
  const rows = runs.map((run) => {
    const took = tookMs(run);
    const queuedAt = Date.parse(run.queued_at);
    return [
      `${MARKS[run.status] ?? '?'} ${run.status}`,
      firstLine(run.function_slug, 60),
      run.run_id,
      new Date(queuedAt).toISOString().replace('T', ' '),
      took === undefined ? `since ${lengthText(now - Date.parse(run.started_at ?? run.queued_at))}` : lengthText(took),
    ];
  });
  const [head = '', ...lines] = alignedLines([['STATUS', 'FUNCTION', 'RUN', 'QUEUED', 'TOOK'], ...rows]);
  return [
    colors.dim(head),
    ...lines.map((line, index) => {
      const status = rows[index]?.[0] ?? '';
      return statusText((runs[index] as RunView).status, colors) + line.slice(status.length);
    }),
  ];
}

/** Step id of a call that enters the function. */
const ENTRY = 'step';
const BAR_CELLS = 24;
const OUTPUT_CHARS_MAX = 2_000;

/** One run: what it is, what it waits for, its steps in order on a line of time. */
export function pictureOf(
  run: RunView,
  transitions: readonly RunTransition[],
  now: EpochMs,
  colors: Colors,
): readonly string[] {
  const { bold, dim } = colors;
  const steps = stepsOf(transitions);
  const { notes, skipped } = beginningOf(transitions);
  const from = Date.parse(run.started_at ?? run.queued_at);
  const to = run.ended_at === null ? now : Date.parse(run.ended_at);
  const took = tookMs(run);
  const fact = (name: string, value: string) => `  ${dim(name.padEnd(9))} ${value}`;
  const since = took === undefined ? `for ${lengthText(now - from)}` : `in ${lengthText(took)}`;
  const error = run.status === 'Failed' ? errorOf(run) : undefined;
  const lines = [
    `${statusText(run.status, colors)} ${since}  ${bold(firstLine(run.function_slug))} ${dim(run.run_id)}`,
    fact('app', firstLine(run.app_name)),
    run.cron === null ? fact('event', run.event_ids.join(', ')) : fact('cron', firstLine(run.cron)),
    fact('queued', run.queued_at),
    ...(run.started_at === null
      ? []
      : [fact('started', `${run.started_at} ${dim(`after ${lengthText(from - Date.parse(run.queued_at))}`)}`)]),
    ...(run.ended_at === null ? [] : [fact('ended', run.ended_at)]),
    ...(error === undefined ? [] : [fact('error', colors.red(firstLine(error, OUTPUT_CHARS_MAX)))]),
    ...(skipped === undefined ? [] : [fact('skipped', skipText(skipped))]),
    ...(isEnded(run) && run.status !== 'Skipped' && error === undefined
      ? [fact('output', firstLine(JSON.stringify(run.output), OUTPUT_CHARS_MAX))]
      : []),
    ...(run.flow?.notes ?? notes).map((note) => fact('warning', colors.yellow(firstLine(note, OUTPUT_CHARS_MAX)))),
    ...callsOf(run).map((call) => fact('call', call)),
    ...stepWaitsOf(run).map((wait) => fact('waits for', wait)),
  ];
  if (steps.length === 0) return lines;
  const width = Math.max(...steps.map(({ name }) => firstLine(name, 40).length));
  return [...lines, '', ...steps.flatMap((step) => stepLines(step, { from, to, now, width, colors }))];
}

function skipText({ reason, blockedBy }: NonNullable<Beginning['skipped']>): string {
  if (reason === 'function_paused') return 'its function was paused';
  if (reason !== 'singleton') return firstLine(reason);
  return `another run of its singleton was under way${blockedBy === undefined ? '' : `: ${blockedBy}`}`;
}

/** Calls that are out, as they stand. */
function callsOf(run: RunView): readonly string[] {
  const names = new Map((run.waiting_for ?? []).map(({ step_id, name }) => [step_id, name]));
  return (run.queue ?? []).map((call) =>
    callText(call, call.step_id === ENTRY ? undefined : (names.get(call.step_id) ?? call.step_id)),
  );
}

/** What steps wait for that are not waiting to be called. */
function stepWaitsOf(run: RunView): readonly string[] {
  const called = new Set((run.queue ?? []).map(({ step_id }) => step_id));
  return (run.waiting_for ?? []).filter(({ step_id }) => !called.has(step_id)).map(stepWaitText);
}

function stepWaitText({
  kind,
  name,
  until,
  event,
  signal,
  expression,
}: NonNullable<RunView['waiting_for']>[number]): string {
  const step = firstLine(name);
  if (kind === 'sleep') return `${step}, a sleep${until === null ? '' : ` until ${until}`}`;
  const what =
    event !== undefined ? `event ${firstLine(event)}` : signal !== undefined ? `signal ${firstLine(signal)}` : kind;
  const only = expression === undefined ? '' : ` where ${firstLine(expression)}`;
  return `${step}: ${what}${only}${until === null ? '' : `, until ${until} at most`}`;
}

interface Frame {
  readonly from: EpochMs;
  readonly to: EpochMs;
  readonly now: EpochMs;
  readonly width: number;
  readonly colors: Colors;
}

function stepLines(step: StepView, { from, to, now, width, colors }: Frame): readonly string[] {
  const { dim, red, green, yellow, cyan } = colors;
  const [mark, paint] = (
    {
      completed: ['✓', green],
      'timed out': ['✓', yellow],
      failed: ['✗', red],
      retrying: ['↻', yellow],
      pending: ['…', cyan],
    } as const
  )[step.state];
  const end = step.endedAt ?? Math.max(now, step.startedAt);
  const cell = (at: EpochMs) => (to <= from ? 0 : Math.round(((at - from) / (to - from)) * BAR_CELLS));
  const start = Math.min(BAR_CELLS - 1, Math.max(0, cell(step.startedAt)));
  const cells = Math.min(BAR_CELLS - start, Math.max(1, cell(end) - start));
  const bar = `${'·'.repeat(start)}${paint((step.endedAt === undefined ? '▒' : '█').repeat(cells))}${'·'.repeat(BAR_CELLS - start - cells)}`;
  const columns = [
    paint(mark),
    firstLine(step.name, 40).padEnd(width),
    dim(step.kind.padEnd(6)),
    bar,
    `+${lengthText(step.startedAt - from)}`.padStart(9),
    lengthText(end - step.startedAt).padStart(9),
  ];
  return [
    `  ${[...columns, notesOf(step, now)].join(' ').trimEnd()}`,
    ...(step.error === undefined ? [] : [`      ${(step.state === 'completed' ? dim : red)(firstLine(step.error))}`]),
  ];
}

function notesOf({ state, detail, until, failures }: StepView, now: EpochMs): string {
  const notes = [
    ...(state === 'timed out' ? ['timed out'] : []),
    ...(detail === undefined ? [] : [firstLine(detail, 60)]),
    ...(failures === 0 ? [] : [`${failures} failed ${failures === 1 ? 'attempt' : 'attempts'}`]),
    ...(state === 'retrying' && until !== undefined ? [`again in ${lengthText(until - now)}`] : []),
    ...(state === 'pending' && until !== undefined ? [`until ${new Date(until).toISOString()}`] : []),
  ];
  return notes.length === 0 ? '' : ` ${notes.join(', ')}`;
}

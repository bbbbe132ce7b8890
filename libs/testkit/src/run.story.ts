import { expect } from 'vitest';
import type { Effect } from '#core/effects.js';
import { fault, faultOutput } from '#core/run/run.faults.js';
import type { Waited } from '#core/flow/flow.js';
import type { CancelWatch, RunCommand, ScheduleRun, SkipRun, TimerKind, WorkRef } from '#core/run/run.commands.js';
import { decide, type Decision, type Ignored } from '#core/run/run.decide.js';
import { runEffects } from '#core/run/run.effects.js';
import { evolve, scheduled as beginning } from '#core/run/run.evolve.js';
import type { Op, Outcome, StepFault } from '#core/run/run.ops.js';
import { owed, type Owed } from '#core/run/run.owed.js';
import { ENTRY, type Call, type Run } from '#core/run/run.state.js';
import type { RunTransition } from '#core/run/run.transitions.js';
import type { EpochMs, Json } from '#core/words.js';

/** When the run of a story is scheduled. Times in a story are ms after it. */
export const START: EpochMs = 1_800_000_000_000;
export const RUN_ID = '01STORYRUN';
export const ENV = 'env';

/** One thing that happens to a run: the command that it puts into the letterbox, given the run as it stands. */
export type Beat = (told: Telling) => RunCommand | readonly RunCommand[];

/** What a story has come to. */
interface Telling {
  readonly run: Run | undefined;
  readonly at: EpochMs;
}

/** Tells a run up to a point; what comes then is looked at. */
export function given(...beats: readonly Beat[]): Story {
  const story = new Story();
  for (const beat of beats) story.take(beat);
  return story;
}

export class Story {
  /** All that was played. */
  readonly commands: RunCommand[] = [];
  private run: Run | undefined;
  private at: EpochMs = START;
  private transitions: readonly RunTransition[] = [];
  private effects: readonly Effect[] = [];
  private ignored: Ignored | undefined;
  private folded: Run | undefined;

  /** Plays one more thing, and what came before it is no longer looked at. */
  when(...beats: readonly Beat[]): this {
    this.transitions = [];
    this.effects = [];
    for (const beat of beats) this.take(beat);
    return this;
  }

  take(beat: Beat): void {
    const commands = [beat({ run: this.run, at: this.at })].flat() as readonly RunCommand[];
    for (const command of commands) {
      this.at = Math.max(this.at, command.at);
      this.commands.push(command);
      this.decided(decide(this.run, command));
    }
  }

  private decided({ transitions, next, ignored }: Decision): void {
    if (next && transitions.length > 0) this.effects = [...this.effects, ...runEffects(this.run, transitions, next)];
    this.transitions = [...this.transitions, ...transitions];
    this.ignored = ignored;
    this.folded = transitions.reduce(fold, this.folded);
    this.run = next;
    expect(this.folded, 'a run is the fold of its transitions').toEqual(next);
  }

  get now(): Run {
    if (!this.run) throw new Error('the story has no run yet');
    return this.run;
  }

  get sent(): readonly Effect[] {
    return this.effects;
  }

  thenIgnored(reason: Ignored): this {
    expect({ ignored: this.ignored, transitions: this.transitions.map(lineOf) }).toEqual({
      ignored: reason,
      transitions: [],
    });
    return this;
  }

  /** The transitions, a line each: what, of which step or call, and how. */
  thenTells(...lines: readonly string[]): this {
    expect(this.transitions.map(lineOf)).toEqual(lines);
    return this;
  }

  /** Among the transitions are these. */
  thenTellsOf(...parts: readonly Partial<RunTransition>[]): this {
    for (const part of parts) expect(this.transitions).toContainEqual(expect.objectContaining(part));
    return this;
  }

  /** All that is owed, a line each. */
  thenOwes(...lines: readonly string[]): this {
    expect(
      owed(this.run)
        .map((item) => owedLine(item, this.at))
        .sort(),
    ).toEqual([...lines].sort());
    return this;
  }

  /** Events and commands that left with the transitions, a line each. */
  thenSends(...lines: readonly string[]): this {
    expect(this.effects.map(effectLine)).toEqual(lines);
    return this;
  }

  thenRun(part: Partial<Run>): this {
    expect(this.run).toMatchObject(part);
    return this;
  }

  thenMemo(stepId: string, memo: unknown): this {
    const text = this.run?.steps[stepId]?.memo;
    expect(text === undefined ? undefined : (JSON.parse(text) as unknown)).toEqual(memo);
    return this;
  }

  thenFails(name: string, message?: RegExp): this {
    expect(this.transitions.at(-1)).toMatchObject({ type: 'RunFailed', fault: { name } });
    if (message) expect(JSON.stringify(this.transitions.at(-1))).toMatch(message);
    return this.thenOwes();
  }
}

function fold(run: Run | undefined, transition: RunTransition): Run | undefined {
  if (transition.type === 'RunScheduled') return beginning(RUN_ID, ENV, transition);
  return run && evolve(run, transition);
}

/** `StepCompleted a timed out`, `CallPlanned step attempt 1 in 15000` */
function lineOf(t: RunTransition): string {
  const subject = 'stepId' in t ? t.stepId : 'target' in t ? t.target : 'deferId' in t ? t.deferId : '';
  const how: unknown[] = [];
  if (t.type === 'CallPlanned') {
    if (t.attempt > 0) how.push('attempt', t.attempt);
    if (t.dueAt > t.at) how.push('in', t.dueAt - t.at);
  }
  if ('timedOut' in t && t.timedOut) how.push('timed out');
  if (t.type === 'RunSkipped') how.push(t.reason, t.blockedBy ?? '');
  if (t.type === 'RunCancelled') how.push('by', t.by);
  if (t.type === 'TimeoutMoved') how.push(t.kind, t.until === undefined ? 'off' : `to ${t.until - START}`);
  if (t.type === 'DeferAdded' && t.rejected !== undefined) how.push('rejected', t.rejected);
  return [t.type, subject, ...how].filter((part) => part !== '').join(' ');
}

/** `enter`, `call a attempt 1 in 15000`, `sleep s in 1000`, `finish in 5000`, `event w x`, `cancel on stop` */
function owedLine(item: Owed, now: EpochMs): string {
  const later = item.at > now ? ` in ${item.at - now}` : '';
  switch (item.kind) {
    case 'work': {
      const what = item.call.target === ENTRY ? 'enter' : `${item.call.gateway ? 'fetch' : 'call'} ${item.call.target}`;
      return `${what}${item.call.attempt > 0 ? ` attempt ${item.call.attempt}` : ''}${later}`;
    }
    case 'slot':
      return `slot ${item.key.value}`;
    case 'timer':
      return `${item.timer}${item.stepId === undefined ? '' : ` ${item.stepId}`}${later}`;
    case 'pause':
      return item.pause.kind === 'cancel'
        ? `cancel on ${item.pause.event}`
        : `event ${item.pause.stepId} ${item.pause.event}`;
  }
}

/** `ResumeStep P1 s: fault`, `ClaimSignal go a`, `event inngest/function.finished` */
function effectLine(effect: Effect): string {
  if (effect.kind === 'event') return `event ${effect.event.name}`;
  const { command } = effect;
  const stepId = 'stepId' in command ? ` ${command.stepId}` : '';
  const whose = 'signal' in command ? command.signal : effect.key;
  return `${command.type} ${whose}${stepId}`;
}

// What happens.

/** So much later. */
export function after(ms: number, beat: Beat): Beat {
  return (told) => beat({ ...told, at: told.at + ms });
}

function about(at: EpochMs) {
  return { runId: RUN_ID, env: ENV, at } as const;
}

const EVENT = '{"data":{"n":1},"id":"e1","name":"go","ts":1,"user":{}}';

export function scheduled(how: Partial<ScheduleRun> = {}): Beat {
  return ({ at }) => ({
    type: 'ScheduleRun',
    ...about(at),
    functionId: 'f1',
    functionSlug: 'app-f',
    functionVersion: 1,
    appId: 'a1',
    appName: 'app',
    events: [EVENT],
    eventIds: ['e1'],
    eventName: 'go',
    startAt: at,
    maxAttempts: 3,
    parents: [],
    cancelOn: [],
    ...how,
  });
}

export function started(finishTimeoutMs?: number): Beat {
  return ({ at }) => ({
    type: 'StartRun',
    ...about(at),
    ...(finishTimeoutMs === undefined ? {} : { finishTimeoutMs }),
  });
}

/** A call that limits count is about to be made. */
export function calls(
  target: string = ENTRY,
  how: { lease?: string; waited?: Waited; finishTimeoutMs?: number } = {},
): Beat {
  return ({ run, at }) => ({ type: 'StartCall', ...about(at), work: workOf(callOf(run, target)), lease: 'L1', ...how });
}

/** The lease of a call ends, whose run has ended before. */
export function drops(work: WorkRef): Beat {
  return ({ at }) => ({ type: 'DropCall', ...about(at), work: workOf(work) });
}

/** The event wanted a run, and a rule stands against it. */
export function skipped(how: Partial<SkipRun> = {}): Beat {
  const scheduling = scheduled();
  return (told) => ({ ...(scheduling(told) as ScheduleRun), type: 'SkipRun', reason: 'singleton', ...how });
}

function workOf({ target, seq, generation }: WorkRef): WorkRef {
  return { target, seq, generation };
}

export interface ReplyHow {
  readonly noRetry?: boolean;
  readonly retryAfterMs?: number;
  readonly plain?: boolean;
  /** What the SDK answered in `x-inngest-req-version`. */
  readonly version?: number;
  readonly dice?: number;
  /** How many resolved steps the call carried. */
  readonly told?: number;
}

/** The function answers the entry that is out. */
export function replies(ops: readonly Op[], how: ReplyHow = {}): Beat {
  return answers(ENTRY, ops, how);
}

/** The app answers the call of a step that is out. */
export function answers(target: string, ops: readonly Op[], how: ReplyHow = {}): Beat {
  const { noRetry = false, retryAfterMs, plain, version, dice, told } = how;
  return reports(
    target,
    {
      kind: 'ops',
      ops,
      noRetry,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(plain === undefined ? {} : { plain }),
    },
    version,
    dice,
    told,
  );
}

export interface ErrorHow {
  readonly code?: string;
  readonly noRetry?: boolean;
  readonly retryAfterMs?: number;
  readonly transport?: boolean;
  readonly fault?: StepFault;
  readonly dice?: number;
  readonly told?: number;
}

/** The call that is out comes to nothing: by default the function threw. */
export function throws(how: ErrorHow = {}, target: string = ENTRY): Beat {
  const { fault: failed = fault('TypeError', 'kaput'), retryAfterMs } = how;
  return reports(
    target,
    {
      kind: 'error',
      fault: failed,
      output: faultOutput(failed),
      noRetry: how.noRetry ?? false,
      transport: how.transport ?? false,
      code: how.code ?? '500',
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
    undefined,
    how.dice,
    how.told,
  );
}

function reports(
  target: string,
  outcome: Outcome,
  requestVersion: number | undefined,
  dice = 0,
  carried?: number,
): Beat {
  return ({ run, at }) => {
    const { seq, generation } = callOf(run, target);
    return {
      type: 'ReportCall',
      ...about(at),
      work: { target, seq, generation },
      outcome,
      startedAt: at - 10,
      dice,
      ...(requestVersion === undefined ? {} : { requestVersion }),
      ...(carried === undefined ? {} : { told: carried }),
    };
  };
}

/** The same beat, of a call as it was out at an earlier point: an answer that comes late. */
export function late(call: { readonly target: string; readonly seq: number; readonly generation: number }, beat: Beat) {
  return ((told) => {
    const run = told.run as Run;
    return beat({ ...told, run: { ...run, calls: { [call.target]: { ...FIRST, ...call } } } });
  }) satisfies Beat;
}

const FIRST: Omit<Call, 'target' | 'seq' | 'generation'> = { attempt: 0, dueAt: 0, gateway: false, progressed: false };

export function checkpoints(
  ops: readonly Op[],
  how: { generation?: number; seq?: number; target?: string; diverging?: 'refused' } = {},
): Beat {
  return ({ run, at }) => ({
    type: 'CheckpointSteps',
    ...about(at),
    seq: how.seq ?? callOf(run, how.target ?? ENTRY).seq,
    ops,
    ...(how.generation === undefined ? {} : { generation: how.generation }),
    ...(how.diverging === undefined ? {} : { diverging: how.diverging }),
  });
}

function callOf(run: Run | undefined, target: string): Call {
  const call = run?.calls[target];
  if (!call) throw new Error(`no call of ${target} is out`);
  return call;
}

/** The timer of a step rings when it is due. */
export function rings(stepId: string): Beat {
  return ({ run, at }) => {
    const step = run?.steps[stepId];
    const kind = step?.kind === 'run' ? 'sleep' : (step?.kind as TimerKind);
    return { type: 'FireTimer', ...about(Math.max(at, step?.wait?.until ?? at)), kind, stepId };
  };
}

/** A timeout of the run rings now. */
export function expires(kind: 'start' | 'finish', limitMs?: number): Beat {
  return ({ at }) => ({ type: 'FireTimer', ...about(at), kind, ...(limitMs === undefined ? {} : { limitMs }) });
}

export function resumes(
  stepId: string,
  result: { readonly memo: Json } | { readonly fault: StepFault },
  how: { eventId?: string; childRunId?: string; fails?: boolean } = {},
): Beat {
  return ({ at }) => ({ type: 'ResumeStep', ...about(at), stepId, result, ...how });
}

export function links(stepId: string, childRunId: string): Beat {
  return ({ at }) => ({ type: 'LinkChild', ...about(at), stepId, childRunId });
}

export const cancelled: Beat = ({ at }) => ({ type: 'CancelRun', ...about(at), by: 'api' });

export function reviewed(limits: { startTimeoutMs?: number; finishTimeoutMs?: number }): Beat {
  return ({ at }) => ({ type: 'ReviewTimeouts', ...about(at), ...limits });
}

export function annotated(body: Json): Beat {
  return ({ at }) => ({ type: 'AddMetadata', ...about(at), body });
}

/** A function has returned. */
export function returns(value: unknown = null): Beat {
  return replies([complete(value)], { plain: true });
}

// Operations.

export function done(id: string, data: unknown = id): Extract<Op, { op: 'StepDone' }> {
  return { op: 'StepDone', id, name: id, memo: `{"data":${JSON.stringify(data)}}` };
}

export function errored(id: string): Op {
  return { op: 'StepError', id, name: id, fault: fault('Error', `${id} failed`) };
}

export function failed(id: string): Op {
  return { op: 'StepFailed', id, name: id, fault: fault('Error', `${id} failed`) };
}

export function planned(id: string, race = false): Op {
  return { op: 'StepPlanned', id, name: id, race };
}

/** @param ms after the start of the story */
export function sleeps(id: string, ms: number, race = false): Op {
  return { op: 'Sleep', id, name: id, race, until: { at: START + ms } };
}

export function waits(id: string, ms = 60_000, how: { event?: string; if?: string; race?: boolean } = {}): Op {
  const { event = 'wanted', race = false } = how;
  const condition = how.if === undefined ? {} : { if: how.if };
  return { op: 'WaitForEvent', id, name: id, race, event, ...condition, until: { at: START + ms } };
}

export function signals(id: string, ms = 60_000, how: { signal?: string; conflict?: 'fail' | 'replace' } = {}): Op {
  const { signal = 'go', conflict = 'fail' } = how;
  return { op: 'WaitForSignal', id, name: id, signal, conflict, until: { at: START + ms } };
}

export function invokes(id: string, ms = 60_000): Op {
  return {
    op: 'InvokeFunction',
    id,
    name: id,
    functionRef: 'app-child',
    payload: '{"data":{"q":1}}',
    until: { at: START + ms },
  };
}

export function fetches(id: string): Op {
  return { op: 'Gateway', id, name: id, request: '{"url":"http://x"}' };
}

export function infers(id: string): Op {
  return { op: 'AIGateway', id, name: id, request: '{"url":"http://x"}' };
}

export function complete(value: unknown = null): Op {
  return { op: 'RunComplete', id: 'complete', name: 'complete', data: JSON.stringify(value) };
}

export const discover: Op = { op: 'DiscoveryRequest', id: 'again', name: 'again' };

export function defers(id: string, payload = '{}', rejected?: 'invalid_opts' | 'per_defer_size'): Op {
  return { op: 'DeferAdd', id, name: id, functionRef: 'app-later', payload, ...(rejected ? { rejected } : {}) };
}

export function aborts(target: string): Op {
  return { op: 'DeferAbort', id: `${target}-abort`, name: target, target };
}

export function watching(event: string): CancelWatch {
  return { event, since: START, until: START + 1_000_000 };
}

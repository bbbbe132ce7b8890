import type { Command, Effect } from '#core/effects.js';
import { derivedUlid } from '#core/event/event.ids.js';
import type { FlowKey } from '#core/flow/flow.js';
import { canonical } from '#core/json.js';
import { callView, type CallView } from '#core/run/run.call.js';
import type { ReportCall, RunCommand, ScheduleRun } from '#core/run/run.commands.js';
import { decide, type Decision } from '#core/run/run.decide.js';
import { runEffects } from '#core/run/run.effects.js';
import { fault, faultOutput } from '#core/run/run.faults.js';
import { dataMemo, invokeUnknown } from '#core/run/run.memos.js';
import type { Op, Outcome } from '#core/run/run.ops.js';
import { owed, type Owed } from '#core/run/run.owed.js';
import { ENTRY, isEnded, isOver, type Call, type Run } from '#core/run/run.state.js';
import { decideSignal, signalEffects, type Signal } from '#core/signal/signal.js';

/** A small function app: stages of steps, the steps of a stage in parallel. Answers as an SDK does, from the memos alone. */
export interface Program {
  readonly requestVersion: 1 | 2;
  readonly stages: readonly (readonly ProgramStep[])[];
  /** Steps that it does one after the other are told on the way, and not again: a lost word means that they are done again. */
  readonly checkpoints?: boolean;
  /** Limits count it: each call is said before it is made, the run holds a slot while it runs, and a singleton until its end. */
  readonly limited?: boolean;
  /** It throws at its end. */
  readonly throws?: boolean;
}

export interface ProgramStep {
  readonly id: string;
  readonly kind: 'run' | 'sleep' | 'wait' | 'signal' | 'invoke' | 'fetch';
  /** How often the step fails before it succeeds. An invoked function: 3 throws, 4 and more are not known. */
  readonly failures: number;
  readonly race: boolean;
}

/** A command on its way to an aggregate. */
export interface Posted {
  readonly key: string;
  readonly command: Command;
}

/** Something owed, and whose it is. */
export interface Due {
  readonly runId: string;
  readonly item: Owed;
}

export const ROOT = 'R1';
const ENV = 'env';
const SLOT: FlowKey = { scope: 'fn', value: '', limit: 1 };
const SINGLETON = 'singleton:env:f:';
const MAX_ATTEMPTS = 3;

/**
 * The world around a run, the runs that it invokes and the signals that it waits for, without a queue or a clock of its own: what is owed
 * is what may happen, and what is posted is decided in its order. For laws about all interleavings.
 */
export class World {
  /** Every command that was decided, in order. */
  readonly log: Posted[] = [];
  readonly decisions: { readonly key: string; readonly decision: Decision }[] = [];
  readonly runs = new Map<string, Run>();
  readonly signals = new Map<string, Signal>();
  /** Runs that gave their singleton back. */
  readonly released: string[] = [];
  /** How often the body of each step of the root's program was run. */
  readonly executed = new Map<string, number>();
  /** Posted, and not decided yet. */
  readonly letterbox: Posted[] = [];
  private readonly programs = new Map<string, Program>();
  now = 1_000;

  constructor(
    readonly program: Program,
    how: Partial<ScheduleRun> = {},
  ) {
    this.programs.set(ROOT, program);
    const flow = program.limited ? { flow: { run: SLOT, singleton: SINGLETON } } : {};
    this.post({ key: ROOT, command: { ...scheduleRoot(this.now), ...flow, ...how } });
    this.deliverAll();
  }

  get run(): Run {
    return this.runs.get(ROOT) as Run;
  }

  get ended(): boolean {
    return [...this.runs.values()].every(isOver) && this.letterbox.length === 0;
  }

  /** What may happen; a slot only stands for its run. */
  outstanding(): readonly Due[] {
    return [...this.runs.values()].flatMap((run) =>
      owed(run).flatMap((item) => (item.kind === 'slot' ? [] : [{ runId: run.id, item }])),
    );
  }

  post(...posted: readonly Posted[]): void {
    this.letterbox.push(...posted);
  }

  deliverAll(): void {
    while (this.letterbox.length > 0) this.deliver();
  }

  /** Decides the command that was posted first. */
  deliver(): Decision | undefined {
    const posted = this.letterbox.shift();
    if (!posted) return undefined;
    const { key, command } = posted;
    if (command.type === 'ReleaseSingleton') {
      this.released.push(command.runId);
      return undefined;
    }
    this.log.push(posted);
    if ('signal' in command) {
      const { transitions, next } = decideSignal(this.signals.get(key), command);
      if (next) this.signals.set(key, next);
      else this.signals.delete(key);
      this.follow(signalEffects(transitions, command));
      return undefined;
    }
    const before = this.runs.get(key);
    const decision = decide(before, command as RunCommand);
    this.decisions.push({ key, decision });
    if (decision.next) {
      this.runs.set(key, decision.next);
      if (decision.transitions.length > 0) this.follow(runEffects(before, decision.transitions, decision.next));
    }
    return decision;
  }

  /** What leaves with transitions: commands go to their letterbox, an invocation becomes a run. */
  private follow(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'command') {
        this.post(effect);
        continue;
      }
      const { internal, internalId, payload, name } = effect.event;
      if (internal?.kind !== 'invoke' || !internal.parent) continue;
      const { parent, functionRef } = internal;
      const program = childProgram(functionRef, this.program.requestVersion);
      const base = { env: ENV, at: this.now };
      if (!program) {
        const result = { fault: invokeUnknown(functionRef) };
        this.post({
          key: parent.runId,
          command: { ...base, type: 'ResumeStep', runId: parent.runId, stepId: parent.stepId, result },
        });
        continue;
      }
      const runId = derivedUlid(1, internalId);
      this.programs.set(runId, program);
      this.post({
        key: runId,
        command: {
          ...scheduleRoot(this.now),
          runId,
          events: [payload],
          eventIds: [internalId],
          eventName: name,
          parents: [parent],
        },
      });
    }
  }

  /** Makes the call, or lets the timer or event come, that an owed item stands for; the commands are not posted yet. */
  perform({ runId, item }: Due): readonly Posted[] {
    const run = this.runs.get(runId) as Run;
    this.now = Math.max(this.now + 1, item.at);
    const base = { runId, env: ENV, at: this.now };
    if (item.kind === 'timer') {
      const stepId = item.stepId === undefined ? {} : { stepId: item.stepId };
      return [{ key: runId, command: { ...base, type: 'FireTimer', kind: item.timer, limitMs: 1, ...stepId } }];
    }
    if (item.kind === 'pause') {
      const { stepId = '', event } = item.pause;
      const result = { memo: canonical({ data: { for: stepId }, name: event }) };
      return [{ key: runId, command: { ...base, type: 'ResumeStep', stepId, result } }];
    }
    if (item.kind === 'slot') return []; // It stands for the run, and nothing comes of it.
    const { target, seq, generation } = item.call;
    const work = { target, seq, generation };
    // A lease that ended behind its run.
    if (isEnded(run)) return [{ key: runId, command: { ...base, type: 'DropCall', work } }];
    const said: Posted[] = [];
    if (this.programs.get(runId)?.limited)
      said.push({ key: runId, command: { ...base, type: 'StartCall', work, lease: `L${this.now}` } });
    const told: Op[][] = [];
    const outcome = this.call(run, item.call, told);
    const checkpoints = told.map((ops): Posted => {
      return { key: runId, command: { ...base, type: 'CheckpointSteps', seq: item.call.seq, ops } };
    });
    return [...said, ...checkpoints, { key: runId, command: this.report(runId, item.call, outcome) }];
  }

  /** The command that says what a call came to. */
  report(runId: string, { target, seq, generation }: Call, outcome: Outcome): ReportCall {
    const requestVersion = (this.programs.get(runId) as Program).requestVersion;
    return {
      type: 'ReportCall',
      runId,
      env: ENV,
      at: this.now,
      work: { target, seq, generation },
      outcome,
      startedAt: this.now - 1,
      requestVersion,
      dice: 0,
    };
  }

  /** Sends every signal that somebody waits for. */
  sendSignals(): readonly Posted[] {
    return [...this.signals.keys()].map((key) => {
      const signal = key.slice(`signal:${ENV}:`.length);
      return { key, command: { type: 'SendSignal', env: ENV, signal, at: this.now, data: '"hi"' } };
    });
  }

  private call(run: Run, call: Call, told: Op[][]): Outcome {
    const view = callView(run, call);
    const program = this.programs.get(run.id) as Program;
    const root = run.id === ROOT ? this.executed : new Map<string, number>();
    if (call.target === ENTRY) return enter(program, view, root, told, this.now);
    const step = program.stages.flat().find(({ id }) => id === call.target);
    return replied(step ? [execute(step, view, root)] : []);
  }
}

function replied(ops: readonly Op[]): Outcome {
  return { kind: 'ops', noRetry: false, ops };
}

function enter(program: Program, view: CallView, executed: Map<string, number>, told: Op[][], now: number): Outcome {
  const memos = new Set(view.steps.map(({ id }) => id));
  for (const stage of program.stages) {
    const open = stage.filter(({ id }) => !memos.has(id));
    if (open.length === 0) continue;
    const [only] = open;
    if (open.length > 1 || only?.kind !== 'run' || view.disableImmediateExecution) {
      return replied(open.map((step) => plan(step, now)));
    }
    const op = execute(only, view, executed);
    if (!program.checkpoints || op.op !== 'StepDone' || view.attempt > 0) return replied([op]);
    told.push([op]);
    memos.add(only.id);
  }
  if (!program.throws) {
    const data = canonical([...memos].sort());
    return replied([{ op: 'RunComplete', id: 'complete', name: 'complete', data }]);
  }
  const thrown = fault('Error', 'thrown');
  return { kind: 'error', fault: thrown, output: faultOutput(thrown), noRetry: true, transport: false, code: '400' };
}

function execute(step: ProgramStep, { attempt, maxAttempts }: CallView, executed: Map<string, number>): Op {
  executed.set(step.id, (executed.get(step.id) ?? 0) + 1);
  const base = { id: step.id, name: step.id, race: step.race };
  if (attempt >= step.failures) return { ...base, op: 'StepDone', memo: dataMemo(`"${step.id}"`) };
  const failed = fault('Error', `${step.id} failed`);
  return attempt + 1 < maxAttempts
    ? { ...base, op: 'StepError', fault: failed }
    : { ...base, op: 'StepFailed', fault: failed };
}

function plan(step: ProgramStep, now: number): Op {
  const base = { id: step.id, name: step.id, race: step.race };
  const until = { at: now + 100_000 };
  switch (step.kind) {
    case 'run':
      return { ...base, op: 'StepPlanned' };
    case 'sleep':
      return { ...base, op: 'Sleep', until: { at: now + 50 * step.failures } };
    case 'wait':
      return { ...base, op: 'WaitForEvent', event: 'wanted', until };
    case 'signal':
      return { ...base, op: 'WaitForSignal', signal: `go-${step.failures}`, conflict: 'fail', until };
    case 'invoke':
      return { ...base, op: 'InvokeFunction', functionRef: `child-${step.failures}`, payload: '{"data":{}}', until };
    case 'fetch':
      return { ...base, op: 'Gateway', request: '{"url":"http://x"}' };
  }
}

function childProgram(functionRef: string, requestVersion: 1 | 2): Program | undefined {
  const failures = Number(functionRef.slice('child-'.length));
  if (failures > 3) return undefined;
  const step: ProgramStep = { id: 'c', kind: 'run', failures, race: false };
  return { requestVersion, stages: [[step]], throws: failures === 3 };
}

function scheduleRoot(at: number): ScheduleRun {
  return {
    type: 'ScheduleRun',
    runId: ROOT,
    env: ENV,
    at,
    functionId: 'f',
    functionSlug: 'app-f',
    functionVersion: 1,
    appId: 'a',
    appName: 'app',
    events: ['{"data":{},"id":"e1","name":"go","ts":1,"user":{}}'],
    eventIds: ['e1'],
    eventName: 'go',
    startAt: at,
    maxAttempts: MAX_ATTEMPTS,
    parents: [],
    cancelOn: [],
  };
}

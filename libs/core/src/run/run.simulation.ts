import { canonical } from '../json.js';
import { callView, type CallView } from './run.call.js';
import type { ReportCall, RunCommand, ScheduleRun } from './run.commands.js';
import { decide, type Decision } from './run.decide.js';
import { fault } from './run.faults.js';
import type { Op, Outcome } from './run.ops.js';
import { owed, type Owed } from './run.owed.js';
import { isEnded, type Call, type Run } from './run.state.js';

/** A small function app: stages of steps, the steps of a stage in parallel. Answers as an SDK does, from the memos alone. */
export interface Program {
  readonly requestVersion: 1 | 2;
  readonly stages: readonly (readonly ProgramStep[])[];
}

export interface ProgramStep {
  readonly id: string;
  readonly kind: 'run' | 'sleep' | 'wait';
  /** How often the step fails before it succeeds. */
  readonly failures: number;
  readonly race: boolean;
}

/** The world around one run, without a queue or a clock of its own: what is owed is what may happen. For laws about all interleavings. */
export class Simulation {
  readonly log: RunCommand[] = [];
  readonly decisions: Decision[] = [];
  /** How often the body of each step was run. */
  readonly executed = new Map<string, number>();
  run: Run | undefined;
  now = 1_000;

  constructor(
    readonly program: Program,
    readonly runId = 'R1',
  ) {
    this.append(schedule(runId, this.now));
  }

  append(command: RunCommand): Decision {
    const decision = decide(this.run, command);
    this.log.push(command);
    this.decisions.push(decision);
    this.run = decision.next;
    return decision;
  }

  get ended(): boolean {
    return this.run !== undefined && isEnded(this.run);
  }

  outstanding(): readonly Owed[] {
    return owed(this.run);
  }

  /** Makes the call, or lets the timer or event come, that an owed item stands for; the result is a command not yet on the log. */
  perform(item: Owed): RunCommand {
    const run = this.run as Run;
    this.now = Math.max(this.now + 1, item.at);
    const base = { runId: run.id, env: run.env, at: this.now };
    if (item.kind === 'timer')
      return {
        ...base,
        type: 'FireTimer',
        kind: item.timer,
        ...(item.stepId === undefined ? {} : { stepId: item.stepId }),
      };
    if (item.kind === 'pause') {
      const stepId = item.pause.stepId ?? '';
      return {
        ...base,
        type: 'ResumeStep',
        stepId,
        result: { memo: canonical({ data: { for: stepId }, name: item.pause.event }) },
      };
    }
    const report: ReportCall = {
      ...base,
      type: 'ReportCall',
      work: { target: item.call.target, seq: item.call.seq, generation: item.call.generation },
      outcome: this.call(run, item.call),
      startedAt: this.now - 1,
      requestVersion: this.program.requestVersion,
      dice: 0,
    };
    return report;
  }

  private call(run: Run, call: Call): Outcome {
    const view = callView(run, call);
    return { kind: 'ops', noRetry: false, ops: call.target === 'step' ? this.enter(view) : this.target(view) };
  }

  private enter(view: CallView): Op[] {
    const memos = new Map(view.steps.map(({ id, memo }) => [id, memo]));
    for (const stage of this.program.stages) {
      const open = stage.filter(({ id }) => !memos.has(id));
      if (open.length === 0) continue;
      const [only] = open;
      if (open.length === 1 && only?.kind === 'run' && !view.disableImmediateExecution)
        return [this.execute(only, view.attempt, view.maxAttempts)];
      return open.map((step) => this.plan(step));
    }
    return [{ op: 'RunComplete', id: 'complete', name: 'complete', data: canonical([...memos.keys()].sort()) }];
  }

  private target(view: CallView): Op[] {
    const step = this.program.stages.flat().find(({ id }) => id === view.target);
    return step ? [this.execute(step, view.attempt, view.maxAttempts)] : [];
  }

  private execute(step: ProgramStep, attempt: number, maxAttempts: number): Op {
    this.executed.set(step.id, (this.executed.get(step.id) ?? 0) + 1);
    const base = { id: step.id, name: step.id, race: step.race };
    if (attempt >= step.failures) return { ...base, op: 'StepDone', memo: `{"data":"${step.id}"}` };
    const failed = fault('Error', `${step.id} failed`);
    return attempt + 1 < maxAttempts
      ? { ...base, op: 'StepError', fault: failed }
      : { ...base, op: 'StepFailed', fault: failed };
  }

  private plan(step: ProgramStep): Op {
    const base = { id: step.id, name: step.id, race: step.race };
    switch (step.kind) {
      case 'run':
        return { ...base, op: 'StepPlanned' };
      case 'sleep':
        return { ...base, op: 'Sleep', until: { at: this.now + 50 } };
      case 'wait':
        return { ...base, op: 'WaitForEvent', event: 'wanted', until: { at: this.now + 100_000 } };
    }
  }
}

export function schedule(runId: string, at: number): ScheduleRun {
  return {
    type: 'ScheduleRun',
    runId,
    env: 'env',
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
    maxAttempts: 3,
    parents: [],
    cancelOn: [],
  };
}

import { LIMITS } from '../limits.js';
import { unreachable, type EpochMs } from '../words.js';
import type {
  AddMetadata,
  CancelRun,
  CheckpointSteps,
  FireTimer,
  LinkChild,
  ReportCall,
  ResumeStep,
  ReviewTimeouts,
  RunCommand,
  ScheduleRun,
  SkipRun,
  StartCall,
  StartRun,
  WorkRef,
} from './run.commands.js';
import { takeOps } from './run.decide-ops.js';
import { Draft } from './run.draft.js';
import { NOTHING } from './run.memos.js';
import { ENTRY, isEnded, isResolved, type Call, type Run } from './run.state.js';
import type { Op, Outcome } from './run.ops.js';
import { scheduled } from './run.evolve.js';
import type { RunTransition } from './run.transitions.js';
import { retryAt } from './run.backoff.js';
import { invokeTimedOut } from './run.faults.js';

/** What a run does about a command: transitions, or the reason why it does nothing. */
export interface Decision {
  readonly transitions: readonly RunTransition[];
  /** The run after them; undefined only where there was none and still is none. */
  readonly next: Run | undefined;
  readonly ignored?: Ignored;
}

export type Ignored =
  | 'run_unknown'
  | 'run_exists'
  | 'run_ended'
  | 'run_started'
  | 'work_superseded'
  | 'step_unknown'
  | 'step_resolved'
  | 'step_diverged'
  | 'timer_early'
  | 'nothing_new'
  | 'state_too_large'
  | 'metadata_too_large';

/** Deterministic: the same run and command give the same decision, on any owner, at any time. `command.at` is the only clock. */
export function decide(run: Run | undefined, command: RunCommand): Decision {
  if (command.type === 'ScheduleRun' || command.type === 'SkipRun') {
    if (run) return ignore(run, 'run_exists');
    return command.type === 'ScheduleRun' ? schedule(command) : skip(command);
  }
  if (!run) return ignore(undefined, 'run_unknown');
  if (isEnded(run)) return afterEnd(run, command);
  switch (command.type) {
    case 'StartRun':
      return start(run, command);
    case 'StartCall':
      return startCall(run, command);
    case 'DropCall':
      return ignore(run, 'work_superseded');
    case 'ReportCall':
      return report(run, command);
    case 'CheckpointSteps':
      return checkpoint(run, command);
    case 'FireTimer':
      return fire(run, command);
    case 'ResumeStep':
      return resume(run, command);
    case 'LinkChild':
      return linkChild(run, command);
    case 'CancelRun':
      return cancel(run, command);
    case 'ReviewTimeouts':
      return review(run, command);
    case 'AddMetadata':
      return addMetadata(run, command);
    default:
      return unreachable(command);
  }
}

function ignore(run: Run | undefined, ignored: Ignored): Decision {
  return { transitions: [], next: run, ignored };
}

/** What counted when the run ended counts until it is answered, or its lease is over. */
function afterEnd(run: Run, command: RunCommand): Decision {
  if (command.type !== 'ReportCall' && command.type !== 'DropCall') return ignore(run, 'run_ended');
  const { work, at } = command;
  const call = run.lingering?.find(({ seq, generation }) => seq === work.seq && generation === work.generation);
  if (!call) return ignore(run, 'run_ended');
  const draft = new Draft(run, at);
  draft.settle({ call, startedAt: command.type === 'ReportCall' ? command.startedAt : at });
  return draft.decision();
}

function schedule(command: ScheduleRun): Decision {
  const draft = create(command);
  draft.planCall(ENTRY, draft.run.startAt);
  return draft.decision();
}

function skip(command: SkipRun): Decision {
  const draft = create(command);
  const { at, reason, blockedBy } = command;
  draft.add({ type: 'RunSkipped', at, reason, ...(blockedBy === undefined ? {} : { blockedBy }) });
  return draft.decision();
}

function create(command: ScheduleRun | SkipRun): Draft {
  const { at } = command;
  const startAt = Math.max(at, command.startAt);
  const first: Extract<RunTransition, { type: 'RunScheduled' }> = {
    type: 'RunScheduled',
    at,
    functionId: command.functionId,
    functionSlug: command.functionSlug,
    functionVersion: command.functionVersion,
    appId: command.appId,
    appName: command.appName,
    events: command.events,
    eventIds: command.eventIds,
    eventName: command.eventName,
    startAt,
    maxAttempts: command.maxAttempts,
    parents: command.parents,
    cancelOn: command.cancelOn,
    // Quirk 15: counted from the planned start. A batch has no start timeout.
    ...(command.startTimeoutMs === undefined || command.batchId !== undefined
      ? {}
      : { startTimeoutAt: startAt + command.startTimeoutMs }),
    ...(command.cron === undefined ? {} : { cron: command.cron }),
    ...(command.batchId === undefined ? {} : { batchId: command.batchId }),
    ...(command.flow === undefined ? {} : { flow: command.flow }),
    ...(command.trace === undefined ? {} : { trace: command.trace }),
  };
  return new Draft(scheduled(command.runId, command.env, first), at, [first]);
}

function start(run: Run, { at, finishTimeoutMs }: StartRun): Decision {
  const draft = new Draft(run, at);
  if (run.state === 'queued') {
    draft.start(finishTimeoutMs);
  } else if (run.startImplied && run.startedAt !== undefined && finishTimeoutMs !== undefined) {
    draft.add({ type: 'TimeoutMoved', at, kind: 'finish', until: run.startedAt + finishTimeoutMs });
  }
  return draft.transitions.length === 0 ? ignore(run, 'run_started') : draft.decision();
}

function startCall(run: Run, { at, work, lease, waited, finishTimeoutMs }: StartCall): Decision {
  const call = callOf(run, work);
  if (!call) return ignore(run, 'work_superseded');
  if (call.lease === lease) return ignore(run, 'nothing_new');
  const draft = new Draft(run, at);
  if (run.state === 'queued') draft.start(finishTimeoutMs);
  draft.add({ type: 'CallStarted', at, ...work, lease, ...(waited === undefined ? {} : { waited }) });
  return draft.decision();
}

/** The call that somebody speaks of, if it is still the one. */
function callOf(run: Run, { target, seq, generation }: WorkRef): Call | undefined {
  const call = Object.hasOwn(run.calls, target) ? run.calls[target] : undefined;
  return call?.seq === seq && call.generation === generation ? call : undefined;
}

function report(run: Run, command: ReportCall): Decision {
  const { work, outcome, at } = command;
  const call = callOf(run, work);
  if (!call) return ignore(run, 'work_superseded');

  const draft = new Draft(run, at);
  draft.implyStart();
  if (
    command.requestVersion !== undefined &&
    command.requestVersion > 0 &&
    command.requestVersion !== run.requestVersion
  ) {
    draft.add({ type: 'VersionNegotiated', at, requestVersion: command.requestVersion });
  }
  const tried = {
    call,
    startedAt: command.startedAt,
    retryAt: (failed: number, retryAfterMs: number | undefined): EpochMs =>
      retryAt({ attempt: failed, at, dice: command.dice, retryAfterMs, intervalMs: command.retryIntervalMs }),
  };
  if (work.target === ENTRY && isOutrun(run, outcome, command.told)) {
    // It went on with results that do not count: nothing of what it came to holds. With those that do it is made again.
    draft.settle(tried);
    draft.enter();
  } else if (outcome.kind === 'ops') {
    takeOps(draft, tried, outcome);
  } else if (outcome.code === 'stale_dispatch') {
    // It stopped for another dispatch; but this one owns the work, so it was mistaken. Never the end of the run: execution.md section 8.
    draft.failCall(tried, { ...outcome, noRetry: false, transport: true });
  } else {
    draft.failCall(tried, outcome);
  }
  return draft.decision();
}

function checkpoint(run: Run, command: CheckpointSteps): Decision {
  const { at, seq, generation } = command;
  const call = Object.values(run.calls).find((other) => other.seq === seq);
  if (!call || (generation !== undefined && generation !== call.generation)) return ignore(run, 'work_superseded');
  if (command.diverging === 'refused' && hasDiverged(run, command.ops, 0)) return ignore(run, 'step_diverged');
  const draft = new Draft(run, at);
  draft.implyStart();
  for (const op of command.ops) {
    if (draft.ended) break;
    keep(draft, op, call.target);
  }
  const stored = draft.run.stack.slice(run.stack.length);
  if (!draft.ended) {
    if (draft.run.stateBytes > LIMITS.runStateBytesMax) return ignore(run, 'state_too_large');
    if (draft.run.stack.length > LIMITS.stepsPerRunMax) draft.overflowSteps();
  }
  if (draft.transitions.length === 0) return ignore(run, 'nothing_new');
  if (!draft.ended && stored.length > 0 && !call.progressed) draft.add({ type: 'CallProgressed', at, seq });
  // An entry goes on by itself with what it has told; a call of one step does not.
  if (call.target !== ENTRY) for (const id of stored) draft.enterAfter(id);
  return draft.decision();
}

/** Whether another call of the same item told results meanwhile, and this one has others, or was told to stop for it. */
function isOutrun(run: Run, outcome: Outcome, told: number | undefined): boolean {
  if (outcome.kind === 'ops') return hasDiverged(run, outcome.ops, told);
  return outcome.code === 'stale_dispatch' && told !== undefined && run.stack.length > told;
}

/**
 * Whether a call has another result of a step than the one that counts: two calls were under way for one item, as after a crash.
 * @param told how many resolved steps the call carried; one that it was told of and tells otherwise is only passed over
 */
function hasDiverged(run: Run, ops: readonly Op[], told: number | undefined): boolean {
  if (told === undefined) return false;
  return ops.some((op) => {
    const step = Object.hasOwn(run.steps, op.id) ? run.steps[op.id] : undefined;
    if (!isResolved(step) || run.stack.indexOf(op.id) < told) return false;
    return op.op === 'StepDone' ? op.memo !== step?.memo : op.op === 'StepFailed' || op.op === 'StepError';
  });
}

/** An operation of a call in progress. */
function keep(draft: Draft, op: Op, target: string): void {
  switch (op.op) {
    case 'StepDone':
      if (draft.complete(op, { checkpointed: true })) draft.attach(op);
      return;
    case 'StepFailed':
      draft.failStep(op, op.fault, {});
      return;
    case 'DeferAdd':
      return draft.addDefer(op);
    case 'DeferAbort':
      return draft.abortDefer(op.target);
    case 'RunComplete':
      if (target === ENTRY) draft.add({ type: 'RunCompleted', at: draft.at, output: op.data });
      return;
    default:
      // A planned step shows what is running; nothing follows from it.
      return;
  }
}

function fire(run: Run, command: FireTimer): Decision {
  const { at } = command;
  if (command.kind === 'start' || command.kind === 'finish') return fireTimeout(run, command, command.kind);
  const step =
    command.stepId !== undefined && Object.hasOwn(run.steps, command.stepId) ? run.steps[command.stepId] : undefined;
  if (!step) return ignore(run, 'step_unknown');
  if (isResolved(step)) return ignore(run, 'step_resolved');
  if (step.wait?.until === undefined || step.wait.until > at) return ignore(run, 'timer_early');
  const draft = new Draft(run, at);
  if (step.kind === 'invoke') draft.failStep(step, invokeTimedOut, { timedOut: true });
  else draft.complete({ id: step.id, name: step.name, memo: NOTHING }, step.kind === 'sleep' ? {} : { timedOut: true });
  draft.enterAfter(step.id);
  return draft.decision();
}

/** The limit is what is configured at this moment: on an extension the timer moves, without a limit it goes. */
function fireTimeout(run: Run, { at, limitMs }: FireTimer, kind: 'start' | 'finish'): Decision {
  if (kind === 'start' && run.state !== 'queued') return ignore(run, 'run_started');
  const from = kind === 'start' ? run.startAt : run.startedAt;
  if (from === undefined) return ignore(run, 'timer_early');
  const draft = new Draft(run, at);
  const until = limitMs === undefined ? undefined : from + limitMs;
  if (until !== undefined && until <= at) {
    draft.add({ type: 'RunCancelled', at, by: kind === 'start' ? 'start_timeout' : 'finish_timeout' });
  } else {
    const now = kind === 'start' ? run.startTimeoutAt : run.finishTimeoutAt;
    if (until === now) return ignore(run, 'timer_early');
    draft.add({ type: 'TimeoutMoved', at, kind, ...(until === undefined ? {} : { until }) });
  }
  return draft.decision();
}

function resume(run: Run, command: ResumeStep): Decision {
  const step = Object.hasOwn(run.steps, command.stepId) ? run.steps[command.stepId] : undefined;
  if (!step) return ignore(run, 'step_unknown');
  if (isResolved(step)) return ignore(run, 'step_resolved');
  const draft = new Draft(run, command.at);
  const how = {
    ...(command.eventId === undefined ? {} : { eventId: command.eventId }),
    ...(command.childRunId === undefined ? {} : { childRunId: command.childRunId }),
  };
  if ('memo' in command.result) draft.complete({ id: step.id, name: step.name, memo: command.result.memo }, how);
  else if (command.fails) {
    draft.failStep(step, command.result.fault, how);
    draft.failRun(command.result.fault);
  } else draft.failStep(step, command.result.fault, how);
  draft.enterAfter(step.id);
  return draft.decision();
}

function linkChild(run: Run, { at, stepId, childRunId }: LinkChild): Decision {
  const step = Object.hasOwn(run.steps, stepId) ? run.steps[stepId] : undefined;
  if (step?.kind !== 'invoke') return ignore(run, 'step_unknown');
  if (isResolved(step)) return ignore(run, 'step_resolved');
  if (step.wait?.childRunId !== undefined) return ignore(run, 'nothing_new');
  const draft = new Draft(run, at);
  draft.add({ type: 'ChildLinked', at, stepId, childRunId });
  return draft.decision();
}

function cancel(run: Run, command: CancelRun): Decision {
  const draft = new Draft(run, command.at);
  draft.add({
    type: 'RunCancelled',
    at: command.at,
    by: command.by,
    ...(command.cause === undefined ? {} : { cause: command.cause }),
  });
  return draft.decision();
}

function review(run: Run, command: ReviewTimeouts): Decision {
  const draft = new Draft(run, command.at);
  const move = (
    kind: 'start' | 'finish',
    from: EpochMs | undefined,
    limitMs: number | undefined,
    now: EpochMs | undefined,
  ) => {
    if (from === undefined) return;
    const until = limitMs === undefined ? undefined : from + limitMs;
    if (until !== now)
      draft.add({ type: 'TimeoutMoved', at: command.at, kind, ...(until === undefined ? {} : { until }) });
  };
  if (run.state === 'queued' && run.batchId === undefined)
    move('start', run.startAt, command.startTimeoutMs, run.startTimeoutAt);
  if (run.state === 'running') move('finish', run.startedAt, command.finishTimeoutMs, run.finishTimeoutAt);
  return draft.transitions.length === 0 ? ignore(run, 'nothing_new') : draft.decision();
}

function addMetadata(run: Run, { at, body }: AddMetadata): Decision {
  const draft = new Draft(run, at);
  return draft.addMetadata(body) ? draft.decision() : ignore(run, 'metadata_too_large');
}

import { LIMITS } from '../limits.js';
import { utf8Bytes } from '../json.js';
import type { EpochMs, Json } from '../words.js';
import type { Decision } from './run.decide.js';
import { evolve } from './run.evolve.js';
import { faultOutput, nothingReported, stateOverflowed, stepNotFound, stepsOverflowed, type CallFailure } from './run.faults.js';
import type { StepFault } from './run.ops.js';
import { ENTRY, isEnded, isResolved, pendingCount, type Call, type Run } from './run.state.js';
import type { RunTransition, StepKind } from './run.transitions.js';

/** A call that has been tried. */
export interface Tried {
  readonly call: Call;
  readonly startedAt: EpochMs;
  retryAt(failed: number, retryAfterMs: number | undefined): EpochMs;
}

interface Reported {
  readonly id: string;
  readonly name: string;
  readonly type?: string;
  readonly input?: Json;
  readonly startedAt?: EpochMs;
  readonly ranMs?: number;
}

interface How {
  readonly attempt?: number;
  readonly startedAt?: EpochMs;
  readonly timedOut?: boolean;
  readonly eventId?: string;
  readonly childRunId?: string;
  readonly checkpointed?: boolean;
}

/** A decision on its way: the transitions so far and the run after them. Lives for one `decide`. */
export class Draft {
  readonly transitions: RunTransition[];

  constructor(
    public run: Run,
    readonly at: EpochMs,
    transitions: readonly RunTransition[] = [],
  ) {
    this.transitions = [...transitions];
  }

  get ended(): boolean {
    return isEnded(this.run);
  }

  decision(): Decision {
    return { transitions: this.transitions, next: this.run };
  }

  add(transition: RunTransition): void {
    this.transitions.push(transition);
    this.run = evolve(this.run, transition);
  }

  start(finishTimeoutMs: number | undefined): void {
    const { at } = this;
    this.add({ type: 'RunStarted', at, ...(finishTimeoutMs === undefined ? {} : { finishTimeoutAt: at + finishTimeoutMs }) });
  }

  /** First result wins: a step that is resolved stays as it is. @returns whether it was news */
  complete(step: Reported & { readonly memo: Json }, how: How): boolean {
    const known = this.stepOf(step.id);
    if (isResolved(known)) return false;
    this.add({
      type: 'StepCompleted',
      at: this.at,
      stepId: step.id,
      name: known?.name ?? step.name,
      kind: known?.kind ?? 'run',
      memo: step.memo,
      ...(step.type === undefined ? {} : { subtype: step.type }),
      ...(step.input === undefined ? {} : { input: step.input }),
      ...how,
      ...(step.startedAt === undefined ? {} : { startedAt: step.startedAt }),
      ...(step.ranMs === undefined ? {} : { ranMs: step.ranMs }),
    });
    return true;
  }

  failStep(step: { readonly id: string; readonly name: string; readonly kind?: StepKind }, fault: StepFault, how: How): boolean {
    const known = this.stepOf(step.id);
    if (isResolved(known)) return false;
    this.add({ type: 'StepFailed', at: this.at, stepId: step.id, name: known?.name ?? step.name, kind: known?.kind ?? step.kind ?? 'run', fault, ...how });
    return true;
  }

  failRun(fault: StepFault, output: Json = faultOutput(fault), errorClass = fault.name): void {
    if (!this.ended) this.add({ type: 'RunFailed', at: this.at, output, fault, errorClass });
  }

  overflowSteps(): void {
    this.failRun(stepsOverflowed);
  }

  settle({ call, startedAt }: Tried): void {
    this.add({ type: 'CallSettled', at: this.at, target: call.target, seq: call.seq, attempt: call.attempt, startedAt });
  }

  /** The attempt that would follow: counts anew after a checkpoint. */
  private nextAttempt(call: Call, transport: boolean): number {
    if (!call.progressed) return call.attempt + 1;
    return transport ? 0 : 1;
  }

  canRetry(call: Call, noRetry: boolean, transport = false): boolean {
    return !noRetry && this.nextAttempt(call, transport) < this.run.maxAttempts;
  }

  /** The same call once more. @returns when */
  retry({ call, retryAt }: Tried, retryAfterMs: number | undefined, transport = false): EpochMs {
    const attempt = this.nextAttempt(call, transport);
    const dueAt = retryAt(Math.max(0, attempt - 1), retryAfterMs);
    this.add({
      type: 'CallPlanned',
      at: this.at,
      target: call.target,
      seq: call.seq,
      generation: call.generation + 1,
      attempt,
      dueAt,
      ...(call.gateway ? { gateway: true } : {}),
    });
    return dueAt;
  }

  /** A call that came to nothing outside steps: again while attempts remain, then the end of the step or of the run. */
  failCall(tried: Tried, failure: CallFailure & { readonly noRetry: boolean; readonly retryAfterMs?: number }): void {
    const { call, startedAt } = tried;
    if (this.canRetry(call, failure.noRetry, failure.transport)) {
      const errored = this.transitions.length;
      const retryAt = this.retry(tried, failure.retryAfterMs, failure.transport);
      this.transitions.splice(errored, 0, {
        type: 'CallErrored',
        at: this.at,
        target: call.target,
        seq: call.seq,
        attempt: call.attempt,
        startedAt,
        fault: failure.fault,
        code: failure.code,
        retryAt,
      });
      return;
    }
    if (call.target !== ENTRY && failure.code === 'step_not_found') {
      this.settle(tried);
      const known = this.stepOf(call.target);
      this.failStep({ id: call.target, name: known?.name ?? call.target }, failure.fault, { attempt: call.attempt, startedAt });
      this.enterAfter(call.target);
      return;
    }
    this.settle(tried);
    this.failRun(failure.fault, failure.output, failure.noRetry ? 'NonRetriableError' : errorClass(failure.code));
  }

  /** What follows from a call that brought neither a result nor a step. */
  failEmpty(tried: Tried): void {
    const { target } = tried.call;
    this.failCall(tried, { ...(target === ENTRY ? nothingReported() : stepNotFound(target)), noRetry: false });
  }

  planCall(target: string, dueAt: EpochMs, gateway = false): void {
    if (this.run.stepCount >= LIMITS.stepsPerRunMax && target === ENTRY) return this.overflowSteps();
    if (this.run.stateBytes >= LIMITS.runStateBytesMax) return this.failRun(stateOverflowed);
    this.add({
      type: 'CallPlanned',
      at: this.at,
      target,
      seq: this.run.seqNext,
      generation: 1,
      attempt: 0,
      dueAt,
      ...(gateway ? { gateway } : {}),
    });
  }

  /** Enters the function again, once: an entry that is out already is followed by another. */
  enter(): void {
    if (this.ended) return;
    if (Object.hasOwn(this.run.calls, ENTRY)) {
      if (!this.run.entryWanted) this.add({ type: 'EntryWanted', at: this.at });
    } else this.planCall(ENTRY, this.at);
  }

  /** Enters after a step was resolved, where the rules want it: execution.md section 6, 2 and 3. */
  enterAfter(stepId: string): void {
    if (!this.ended && this.wantsEntry(stepId)) this.enter();
  }

  /** Whether a resolved step lets the function go on: always in version 1, each one of a race, else the last of its group. */
  wantsEntry(stepId: string): boolean {
    const step = this.stepOf(stepId);
    if (!step) return false;
    return this.run.requestVersion === 1 || step.race || this.run.openInGroup[step.group] === undefined;
  }

  idle(): boolean {
    return pendingCount(this.run) === 0 && Object.keys(this.run.calls).length === 0;
  }

  addDefer(id: string, functionRef: string, payload: Json): void {
    if (Object.hasOwn(this.run.defers, id)) return;
    const live = Object.values(this.run.defers).filter((defer) => defer.state === 'live');
    const bytes = utf8Bytes(payload);
    const sum = live.reduce((total, defer) => total + utf8Bytes(defer.payload), bytes);
    const rejected =
      bytes > LIMITS.deferInputBytesMax
        ? 'per_defer_size'
        : sum > LIMITS.deferInputBytesMax
          ? 'aggregate_size'
          : live.length >= LIMITS.defersPerRunMax
            ? 'per_run_count'
            : undefined;
    this.add({ type: 'DeferAdded', at: this.at, deferId: id, functionRef, payload, ...(rejected === undefined ? {} : { rejected }) });
  }

  abortDefer(target: string): void {
    const defer = Object.hasOwn(this.run.defers, target) ? this.run.defers[target] : undefined;
    if (defer?.state === 'live') this.add({ type: 'DeferAborted', at: this.at, deferId: target });
  }

  stepOf(id: string) {
    return Object.hasOwn(this.run.steps, id) ? this.run.steps[id] : undefined;
  }
}

/** The class in a failure event's `error.error`: what the reference calls an exhausted retry. */
function errorClass(code: string): string {
  return /^\d{3}$/.test(code) ? `invalid status code: ${code}` : code;
}

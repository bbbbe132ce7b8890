import { LIMITS } from '../limits.js';
import { canonical, utf8Bytes } from '../json.js';
import type { EpochMs, Json } from '../words.js';
import type { Decision } from './run.decide.js';
import { evolve } from './run.evolve.js';
import {
  faultOutput,
  nothingReported,
  stateOverflowed,
  stepNotFound,
  stepsOverflowed,
  type CallFailure,
} from './run.faults.js';
import type { Op, StepFault } from './run.ops.js';
import { ENTRY, isEnded, isResolved, pendingCount, type Call, type Run } from './run.state.js';
import type { RunTransition, StepKind } from './run.transitions.js';

/** A call that has been tried. */
export interface Tried {
  readonly call: Call;
  readonly startedAt: EpochMs;
  readonly retryAt: (failed: number, retryAfterMs: number | undefined) => EpochMs;
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

/** When a call is made again. */
export interface Retry {
  readonly attempt: number;
  readonly dueAt: EpochMs;
  readonly held: boolean;
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
    this.add({
      type: 'RunStarted',
      at,
      ...(finishTimeoutMs === undefined ? {} : { finishTimeoutAt: at + finishTimeoutMs }),
    });
  }

  /** An executor says StartRun beside its first call: what the call brings proves the start, should it be on the log before. */
  implyStart(): void {
    if (this.run.state === 'queued') this.add({ type: 'RunStarted', at: this.at, implied: true });
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

  failStep(
    step: { readonly id: string; readonly name: string; readonly kind?: StepKind },
    fault: StepFault,
    how: How,
  ): boolean {
    const known = this.stepOf(step.id);
    if (isResolved(known)) return false;
    this.add({
      type: 'StepFailed',
      at: this.at,
      stepId: step.id,
      name: known?.name ?? step.name,
      kind: known?.kind ?? step.kind ?? 'run',
      fault,
      ...how,
    });
    return true;
  }

  failRun(fault: StepFault, output: Json = faultOutput(fault), errorClass = fault.name): void {
    if (!this.ended) this.add({ type: 'RunFailed', at: this.at, output, fault, errorClass });
  }

  overflowSteps(): void {
    this.failRun(stepsOverflowed);
  }

  settle({ call, startedAt }: Pick<Tried, 'call' | 'startedAt'>): void {
    this.add({
      type: 'CallSettled',
      at: this.at,
      target: call.target,
      seq: call.seq,
      attempt: call.attempt,
      startedAt,
    });
  }

  /** The next try of a call, while it has attempts left. They count anew after a checkpoint. */
  retryOf(
    { call, retryAt }: Tried,
    failure: { readonly noRetry: boolean; readonly retryAfterMs?: number; readonly transport?: boolean },
    held: boolean,
  ): Retry | undefined {
    const attempt = !call.progressed ? call.attempt + 1 : failure.transport ? 0 : 1;
    if (failure.noRetry || attempt >= this.run.maxAttempts) return undefined;
    const dueAt = retryAt(Math.max(0, attempt - 1), failure.retryAfterMs);
    return { attempt, dueAt, held: held || failure.retryAfterMs !== undefined };
  }

  repeat(call: Call, { attempt, dueAt, held }: Retry): void {
    this.add({
      type: 'CallPlanned',
      at: this.at,
      target: call.target,
      seq: call.seq,
      generation: call.generation + 1,
      attempt,
      dueAt,
      ...(call.gateway ? { gateway: true } : {}),
      ...(held ? { held: true } : {}),
    });
  }

  /**
   * A call that came to nothing outside steps: again while attempts remain, then the end of the step or of the run. Steps that were resolved
   * while it was under way do not wait for its delay: they want an entry of their own.
   * @param settled whether `CallSettled` is told already
   */
  failCall(
    tried: Tried,
    failure: CallFailure & { readonly noRetry: boolean; readonly retryAfterMs?: number },
    settled = false,
  ): void {
    const { call, startedAt } = tried;
    const retry = this.retryOf(tried, failure, false);
    if (retry) {
      const anew = call.target === ENTRY && this.run.entryWanted && !retry.held;
      this.add({
        type: 'CallErrored',
        at: this.at,
        target: call.target,
        seq: call.seq,
        attempt: call.attempt,
        startedAt,
        fault: failure.fault,
        code: failure.code,
        retryAt: anew ? this.at : retry.dueAt,
      });
      if (anew) this.planCall(ENTRY, this.at);
      else this.repeat(call, retry);
      return;
    }
    if (!settled) this.settle(tried);
    if (call.target !== ENTRY && failure.code === 'step_not_found') {
      this.failStep({ id: call.target, name: call.target }, failure.fault, { attempt: call.attempt, startedAt });
      this.enterAfter(call.target);
    } else {
      this.failRun(failure.fault, failure.output, failure.noRetry ? 'NonRetriableError' : exhaustedClass(failure.code));
    }
  }

  /** What follows from a settled call that brought neither a result nor a step. Quirk 11: a failed attempt. */
  failEmpty(tried: Tried): void {
    const { target } = tried.call;
    this.failCall(tried, { ...(target === ENTRY ? nothingReported() : stepNotFound(target)), noRetry: false }, true);
  }

  /** Limits are looked at before each request: contract 17.8. */
  planCall(target: string, dueAt: EpochMs, gateway = false): void {
    if (this.run.stack.length >= LIMITS.stepsPerRunMax) return this.overflowSteps();
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

  /**
   * Enters the function again, once: an entry that is under way is followed by another. A retry that is still to come gives way to an entry
   * at once, with all its attempts, unless it must be waited for.
   */
  enter(): void {
    if (this.ended) return;
    const entry = Object.hasOwn(this.run.calls, ENTRY) ? this.run.calls[ENTRY] : undefined;
    if (!entry || (entry.dueAt > this.at && !entry.held)) this.planCall(ENTRY, this.at);
    else if (!this.run.entryWanted) this.add({ type: 'EntryWanted', at: this.at });
  }

  /** Enters after a step was resolved, where the rules want it: execution.md section 6, 2 and 3. */
  enterAfter(stepId: string): void {
    this.checkState();
    if (!this.ended && this.wantsEntry(stepId)) this.enter();
  }

  /** Memos that came without a call of their own count as well: state is bounded also while no call is planned. */
  checkState(): void {
    if (this.run.stateBytes >= LIMITS.runStateBytesMax) this.failRun(stateOverflowed);
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

  /** A defer never fails its run: what breaks a limit is noted as rejected. Those withdrawn count, or a run could make them without end. */
  addDefer({ id, functionRef, payload, rejected }: Extract<Op, { op: 'DeferAdd' }>): void {
    const { defers } = this.run;
    if (Object.hasOwn(defers, id)) return;
    const reason = rejected ?? this.deferFlaw(payload);
    this.add({
      type: 'DeferAdded',
      at: this.at,
      deferId: id,
      functionRef,
      payload,
      ...(reason === undefined ? {} : { rejected: reason }),
    });
  }

  private deferFlaw(payload: Json): string | undefined {
    const accepted = Object.values(this.run.defers).filter(({ state }) => state !== 'rejected');
    const bytes = utf8Bytes(payload);
    const sum = accepted.reduce((total, defer) => total + utf8Bytes(defer.payload), bytes);
    if (bytes > LIMITS.deferInputBytesMax) return 'per_defer_size';
    if (sum > LIMITS.deferInputBytesMax) return 'aggregate_size';
    return accepted.length >= LIMITS.defersPerRunMax ? 'per_run_count' : undefined;
  }

  abortDefer(target: string): void {
    const defer = Object.hasOwn(this.run.defers, target) ? this.run.defers[target] : undefined;
    if (defer?.state === 'live') this.add({ type: 'DeferAborted', at: this.at, deferId: target });
  }

  /** What an SDK attached to a step goes the way of what it sends by itself; beyond the limit it is dropped, for it must not matter. */
  attach({ id, metadata }: Op, attempt?: number): void {
    if (metadata === undefined) return;
    const target = canonical({ run_id: this.run.id, step_attempt: attempt, step_id: id });
    this.addMetadata(`{"metadata":${metadata},"target":${target}}`);
  }

  /** @returns whether there was room for it */
  addMetadata(body: Json): boolean {
    if (this.run.metadataBytes + utf8Bytes(body) > LIMITS.metadataPerRunBytesMax) return false;
    this.add({ type: 'MetadataAdded', at: this.at, body });
    return true;
  }

  stepOf(id: string) {
    return Object.hasOwn(this.run.steps, id) ? this.run.steps[id] : undefined;
  }
}

/** The class in a failure event's `error.error`: what the reference calls an exhausted retry. */
function exhaustedClass(code: string): string {
  return /^\d{3}$/.test(code) ? `invalid status code: ${code}` : code;
}

import { compile, MATCH_ROOTS } from '../expression/expression.compile.js';
import { LIMITS } from '../limits.js';
import { unreachable } from '../words.js';
import type { Draft, Tried } from './run.draft.js';
import { expressionInvalid, stepsOverflowed, waitInvalid, waitTooLong } from './run.faults.js';
import type { Op, Outcome, WaitUntil } from './run.ops.js';
import { ENTRY, isResolved } from './run.state.js';
import type { RunTransition, StepKind } from './run.transitions.js';

type Ops = Extract<Outcome, { kind: 'ops' }>;

/** What follows from the operations of a reply: contract 17 and 18, execution.md sections 5 and 6. */
export function takeOps(draft: Draft, tried: Tried, outcome: Ops): void {
  const { call } = tried;
  const planned = outcome.ops.filter((op) => op.op === 'StepPlanned' || op.op === 'Sleep' || op.op === 'WaitForEvent').length;
  draft.settle(tried);
  if (planned > LIMITS.plannedPerReplyMax) return draft.failRun(stepsOverflowed);

  const group = draft.run.groupNext;
  /** A step that was found and done in one reply belongs to the group of that reply. */
  const resolve = (id: string, wasKnown: boolean) => {
    resolved.push({ id, wasKnown });
  };
  const resolved: { readonly id: string; readonly wasKnown: boolean }[] = [];
  let news = 0;
  let again = false;
  for (const op of outcome.ops) {
    if (draft.ended) return;
    const known = draft.stepOf(op.id);
    switch (op.op) {
      case 'StepDone':
        if (draft.complete(op, { attempt: call.attempt, startedAt: tried.startedAt })) {
          news++;
          resolve(op.id, known !== undefined);
        }
        break;
      case 'StepFailed':
      case 'StepError': {
        if (isResolved(known)) break;
        news++;
        const retried = op.op === 'StepError' && !again && draft.canRetry(call, outcome.noRetry);
        if (retried) {
          again = true;
          const errored = draft.transitions.length;
          const retryAt = draft.retry(tried, outcome.retryAfterMs);
          draft.transitions.splice(errored, 0, {
            type: 'StepErrored',
            at: draft.at,
            stepId: op.id,
            name: known?.name ?? op.name,
            fault: op.fault,
            attempt: call.attempt,
            startedAt: op.startedAt ?? tried.startedAt,
            retryAt,
          });
        } else {
          draft.failStep(op, op.fault, { attempt: call.attempt, startedAt: op.startedAt ?? tried.startedAt });
          resolve(op.id, known !== undefined);
        }
        break;
      }
      case 'DeferAdd':
        draft.addDefer(op.id, op.functionRef, op.payload);
        break;
      case 'DeferAbort':
        draft.abortDefer(op.target);
        break;
      case 'DiscoveryRequest':
        news++;
        draft.enter();
        break;
      case 'RunComplete':
        draft.add({ type: 'RunCompleted', at: draft.at, output: op.data });
        return;
      case 'StepPlanned':
      case 'Sleep':
      case 'WaitForEvent':
      case 'WaitForSignal':
      case 'InvokeFunction':
      case 'Gateway':
      case 'AIGateway':
        if (known) break; // SDKs report pending steps again and again.
        news++;
        if (plan(draft, op, group)) resolve(op.id, true);
        break;
      default:
        return unreachable(op);
    }
  }
  if (draft.ended) return;

  // A retried call enters (or runs its step) by itself.
  const groupDone = draft.run.requestVersion === 1 || draft.run.openInGroup[group] === undefined;
  const enters = resolved.some(({ id, wasKnown }) => (wasKnown ? draft.wantsEntry(id) : groupDone));
  if (!again && enters) draft.enter();
  else if (!again && call.target === ENTRY && draft.run.entryWanted) draft.planCall(ENTRY, draft.at);
  else if (!again && news === 0 && isStranded(draft, tried)) strand(draft, tried);
}

type Waiting = Extract<Op, { op: 'StepPlanned' | 'Sleep' | 'WaitForEvent' | 'WaitForSignal' | 'InvokeFunction' | 'Gateway' | 'AIGateway' }>;

/** Plans a step. @returns whether it is resolved at once: a sleep of nothing, a wait that is over. */
function plan(draft: Draft, op: Waiting, group: number): boolean {
  const { at } = draft;
  const until = 'until' in op ? op.until : undefined;
  if (until && !('at' in until)) {
    draft.failRun(badWait(until));
    return false;
  }
  if (op.op === 'WaitForEvent' && op.if !== undefined) {
    const { flaw } = compile(op.if, { roots: MATCH_ROOTS, policy: 'any' });
    if (flaw) {
      draft.failRun(expressionInvalid(flaw.text));
      return false;
    }
  }
  const ends = until?.at;
  draft.add({
    type: 'StepPlanned',
    at,
    stepId: op.id,
    name: op.name,
    kind: kindOf(op),
    group,
    race: op.race ?? false,
    ...(op.type === undefined ? {} : { subtype: op.type }),
    ...(op.input === undefined ? {} : { input: op.input }),
    ...(ends === undefined ? {} : { until: ends }),
    ...detail(op),
  });
  if (op.op === 'StepPlanned') draft.planCall(op.id, at);
  else if (op.op === 'Gateway' || op.op === 'AIGateway') draft.planCall(op.id, at, true);
  else if ((op.op === 'Sleep' || op.op === 'WaitForEvent') && ends !== undefined && ends <= at) {
    return draft.complete({ id: op.id, name: op.name, memo: 'null' }, op.op === 'Sleep' ? {} : { timedOut: true });
  }
  return false;
}

function badWait(until: Exclude<WaitUntil, { at: number }>) {
  return 'tooLong' in until ? waitTooLong(until.tooLong) : waitInvalid(until.invalid);
}

function detail(op: Waiting): Partial<Extract<RunTransition, { type: 'StepPlanned' }>> {
  switch (op.op) {
    case 'WaitForEvent':
      return { event: op.event, ...(op.if === undefined ? {} : { expression: op.if }) };
    case 'WaitForSignal':
      return { signal: op.signal, conflict: op.conflict };
    case 'InvokeFunction':
      return { functionRef: op.functionRef, request: op.payload };
    case 'Gateway':
    case 'AIGateway':
      return { request: op.request };
    default:
      return {};
  }
}

function kindOf(op: Waiting): StepKind {
  switch (op.op) {
    case 'StepPlanned':
      return 'run';
    case 'Sleep':
      return 'sleep';
    case 'WaitForEvent':
      return 'wait';
    case 'WaitForSignal':
      return 'signal';
    case 'InvokeFunction':
      return 'invoke';
    case 'Gateway':
      return 'fetch';
    case 'AIGateway':
      return 'ai';
    default:
      return unreachable(op);
  }
}

/** Nothing would ever move this run again, or the step that was asked for is as open as before. */
function isStranded(draft: Draft, { call }: Tried): boolean {
  return call.target === ENTRY ? draft.idle() : !isResolved(draft.stepOf(call.target));
}

/** The settled call is put back before it fails: it still has its attempts. */
function strand(draft: Draft, tried: Tried): void {
  draft.transitions.splice(
    draft.transitions.findIndex((transition) => transition.type === 'CallSettled'),
    1,
  );
  draft.failEmpty(tried);
}

import { compile, MATCH_ROOTS } from '../expression/expression.compile.js';
import { LIMITS } from '../limits.js';
import { unreachable } from '../words.js';
import type { Draft, Tried } from './run.draft.js';
import { expressionInvalid, waitInvalid, waitTooLong } from './run.faults.js';
import { NOTHING } from './run.memos.js';
import type { Op, Outcome, WaitUntil } from './run.ops.js';
import { ENTRY, isResolved } from './run.state.js';
import type { RunTransition, StepKind } from './run.transitions.js';

type Ops = Extract<Outcome, { kind: 'ops' }>;
type Errored = Extract<Op, { op: 'StepError' }>;

/** A step that a reply resolved. One that it found and did at once belongs to the group of the reply. */
interface Resolved {
  readonly id: string;
  readonly wasKnown: boolean;
}

/** What a reply brought, beside the transitions. */
interface Gain {
  /** Anything that was not known before. */
  news: boolean;
  /** The SDK wants to be called again by itself. */
  asked: boolean;
  readonly resolved: Resolved[];
  /** Steps that failed in this attempt; the call is made again for all of them. */
  readonly errored: Errored[];
}

/** What follows from the operations of a reply: contract 17 and 18, execution.md sections 5 and 6. */
export function takeOps(draft: Draft, tried: Tried, outcome: Ops): void {
  draft.settle(tried);
  const planned = outcome.ops.filter((op) => isWaiting(op) && draft.stepOf(op.id) === undefined).length;
  if (planned > LIMITS.plannedPerReplyMax || draft.run.stepCount + planned > LIMITS.stepsPerRunMax) {
    return draft.overflowSteps();
  }
  const group = draft.run.groupNext;
  const gain: Gain = { news: false, asked: false, resolved: [], errored: [] };
  for (const op of outcome.ops) {
    take(draft, tried, op, group, gain);
    if (draft.ended) return;
  }
  const retried = retryErrored(draft, tried, outcome, gain);
  draft.checkState();
  if (draft.ended) return;

  const { call } = tried;
  const groupDone = draft.run.requestVersion === 1 || draft.run.openInGroup[group] === undefined;
  const enters = gain.resolved.some(({ id, wasKnown }) => (wasKnown ? draft.wantsEntry(id) : groupDone));
  if (call.target === ENTRY) {
    // A retried call enters by itself.
    if (!retried) follow(draft, tried, gain, enters);
    return;
  }
  if (enters || gain.asked) draft.enter();
  // Whatever else it brought: the step that was asked for must not stay behind without a call.
  if (!retried && !isResolved(draft.stepOf(call.target))) draft.failEmpty(tried);
}

/** What follows an entry of the function: never nothing, unless steps are pending. */
function follow(draft: Draft, tried: Tried, { news, asked }: Gain, enters: boolean): void {
  // What it brought may all be known by its own checkpoints.
  const headway = news || tried.call.progressed;
  if (enters || (asked && headway)) draft.enter();
  else if (draft.run.entryWanted) draft.planCall(ENTRY, draft.at);
  else if (asked || draft.idle()) {
    if (headway) draft.enter();
    else draft.failEmpty(tried);
  }
}

function take(draft: Draft, tried: Tried, op: Op, group: number, gain: Gain): void {
  const { attempt, target } = tried.call;
  const known = draft.stepOf(op.id);
  switch (op.op) {
    case 'StepDone':
      if (!draft.complete(op, { attempt, startedAt: tried.startedAt })) return;
      gain.news = true;
      gain.resolved.push({ id: op.id, wasKnown: known !== undefined });
      return draft.attach(op);
    case 'StepFailed':
      return failStep(draft, tried, op, gain);
    case 'StepError':
      if (!isResolved(known)) gain.errored.push(op);
      return;
    case 'DeferAdd':
      return draft.addDefer(op);
    case 'DeferAbort':
      return draft.abortDefer(op.target);
    case 'DiscoveryRequest':
      gain.asked = true;
      return;
    case 'RunComplete':
      // A call that was to run one step says nothing of the whole: execution.md section 6, rule 9.
      if (target === ENTRY) draft.add({ type: 'RunCompleted', at: draft.at, output: op.data });
      return;
    case 'StepPlanned':
    case 'Sleep':
    case 'WaitForEvent':
    case 'WaitForSignal':
    case 'InvokeFunction':
    case 'Gateway':
    case 'AIGateway':
      if (known) return; // SDKs report pending steps again and again.
      gain.news = true;
      if (plan(draft, op, group)) gain.resolved.push({ id: op.id, wasKnown: true });
      return draft.attach(op);
    default:
      return unreachable(op);
  }
}

function failStep(draft: Draft, tried: Tried, op: Extract<Op, { op: 'StepFailed' | 'StepError' }>, gain: Gain): void {
  const { attempt } = tried.call;
  const wasKnown = draft.stepOf(op.id) !== undefined;
  if (!draft.failStep(op, op.fault, { attempt, startedAt: op.startedAt ?? tried.startedAt })) return;
  gain.news = true;
  gain.resolved.push({ id: op.id, wasKnown });
  draft.attach(op, attempt);
}

/**
 * Steps that may be tried again: the same call once more, for all of them. What an entry had done before counts as headway, so the step
 * that failed behind it has all its attempts. @returns whether the call is made again
 */
function retryErrored(draft: Draft, tried: Tried, { noRetry, retryAfterMs }: Ops, gain: Gain): boolean {
  if (gain.errored.length === 0) return false;
  const { call, startedAt } = tried;
  // A call that has brought its own step is done with; another step that failed in it is found again by the function.
  if (isResolved(draft.stepOf(call.target))) return false;
  const headway = call.target === ENTRY && gain.resolved.length > 0;
  const failure = { noRetry, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  const retry = draft.retryOf(headway ? { ...tried, call: { ...call, progressed: true } } : tried, failure, true);
  if (!retry) {
    for (const op of gain.errored) failStep(draft, tried, op, gain);
    return false;
  }
  for (const op of gain.errored) {
    draft.add({
      type: 'StepErrored',
      at: draft.at,
      stepId: op.id,
      name: draft.stepOf(op.id)?.name ?? op.name,
      fault: op.fault,
      attempt: call.attempt,
      startedAt: op.startedAt ?? startedAt,
      retryAt: retry.dueAt,
    });
    draft.attach(op, call.attempt);
  }
  draft.repeat(call, retry);
  return true;
}

type Waiting = Extract<
  Op,
  { op: 'StepPlanned' | 'Sleep' | 'WaitForEvent' | 'WaitForSignal' | 'InvokeFunction' | 'Gateway' | 'AIGateway' }
>;

const WAITING: ReadonlySet<Op['op']> = new Set<Waiting['op']>([
  'StepPlanned',
  'Sleep',
  'WaitForEvent',
  'WaitForSignal',
  'InvokeFunction',
  'Gateway',
  'AIGateway',
]);

function isWaiting({ op }: Op): boolean {
  return WAITING.has(op);
}

/** Plans a step. @returns whether it is resolved at once: a sleep of nothing, a wait that is over. An invoke starts its function in any case. */
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
  else if (op.op !== 'InvokeFunction' && ends !== undefined && ends <= at) {
    return draft.complete({ id: op.id, name: op.name, memo: NOTHING }, op.op === 'Sleep' ? {} : { timedOut: true });
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

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signalConflict } from '../run/run.memos.js';
import {
  decideSignal,
  evolveSignal,
  signalEffects,
  signalKey,
  type Signal,
  type SignalCommand,
  type SignalDecision,
} from './signal.js';

const AT = 1_000;
const base = { env: 'env', signal: 'go', at: AT } as const;

function claim(runId: string, stepId = 's', conflict: 'fail' | 'replace' = 'fail'): SignalCommand {
  return { ...base, type: 'ClaimSignal', runId, stepId, conflict, until: AT + 100 };
}

function release(runId: string, stepId = 's'): SignalCommand {
  return { ...base, type: 'ReleaseSignal', runId, stepId };
}

const send: SignalCommand = { ...base, type: 'SendSignal', data: '{"hi":1}' };

function after(...commands: readonly SignalCommand[]): Signal | undefined {
  return commands.reduce<Signal | undefined>((signal, command) => decideSignal(signal, command).next, undefined);
}

function lines({ transitions, ignored }: SignalDecision): readonly string[] {
  return ignored === undefined ? transitions.map(({ type, runId, stepId }) => `${type} ${runId}.${stepId}`) : [ignored];
}

describe('a signal', () => {
  it('has a key of its environment and name', () => expect(signalKey('env', 'a:b')).toBe('signal:env:a:b'));

  it('wakes the one that waits, and is not kept', () => {
    const decision = decideSignal(after(claim('A')), send);
    expect(lines(decision)).toEqual(['SignalDelivered A.s']);
    expect(decision.next).toBeUndefined();
    expect(signalEffects(decision.transitions, send)).toEqual([
      {
        kind: 'command',
        key: 'A',
        command: {
          type: 'ResumeStep',
          runId: 'A',
          env: 'env',
          at: AT,
          stepId: 's',
          result: { memo: '{"data":{"data":{"hi":1},"signal":"go"}}' },
        },
      },
    ]);
  });

  it('that nobody waits for is lost', () => {
    expect(lines(decideSignal(undefined, send))).toEqual(['no_waiter']);
    expect(lines(decideSignal(after(claim('A'), send), send))).toEqual(['no_waiter']);
    expect(lines(decideSignal(after(claim('A'), release('A')), send))).toEqual(['no_waiter']);
  });

  it('that another run waits for refuses a second, whose run ends', () => {
    const signal = after(claim('A'));
    const decision = decideSignal(signal, claim('B'));
    expect(lines(decision)).toEqual(['SignalRefused B.s']);
    expect(decision.next).toBe(signal);
    expect(signalEffects(decision.transitions, claim('B'))).toMatchObject([
      { key: 'B', command: { type: 'ResumeStep', runId: 'B', fails: true, result: { fault: signalConflict } } },
    ]);
    expect(lines(decideSignal(decision.next, send))).toEqual(['SignalDelivered A.s']);
  });

  it('goes over to a run that replaces; the other is not told, and cannot give it back', () => {
    const decision = decideSignal(after(claim('A')), claim('B', 's', 'replace'));
    expect(lines(decision)).toEqual(['SignalClaimed B.s']);
    expect(signalEffects(decision.transitions, send)).toEqual([]);
    expect(lines(decideSignal(decision.next, release('A')))).toEqual(['not_holder']);
    expect(lines(decideSignal(decision.next, send))).toEqual(['SignalDelivered B.s']);
  });

  it('is claimed once by a step that is told twice', () =>
    expect(lines(decideSignal(after(claim('A')), claim('A')))).toEqual(['already_holder']));

  it('wakes every step of the run that waits', () => {
    const signal = after(claim('A', 's'), claim('A', 't'), claim('A', 'u'), release('A', 't'));
    expect(lines(decideSignal(signal, send))).toEqual(['SignalDelivered A.s', 'SignalDelivered A.u']);
    expect(decideSignal(signal, send).next).toBeUndefined();
  });

  it('is free again when its last step gave up', () => {
    expect(after(claim('A', 's'), claim('A', 't'), release('A', 's'))).toBeDefined();
    expect(after(claim('A', 's'), claim('A', 't'), release('A', 's'), release('A', 't'))).toBeUndefined();
    expect(lines(decideSignal(after(claim('A'), release('A')), claim('B')))).toEqual(['SignalClaimed B.s']);
  });

  it('is held no longer than its wait', () => {
    const late = { at: AT + 100 };
    expect(lines(decideSignal(after(claim('A')), { ...send, at: AT + 99 }))).toEqual(['SignalDelivered A.s']);
    expect(lines(decideSignal(after(claim('A')), { ...send, ...late }))).toEqual(['no_waiter']);
    const next = decideSignal(after(claim('A')), { ...claim('B'), ...late, until: AT + 500 } as SignalCommand);
    expect(lines(next)).toEqual(['SignalClaimed B.s']);
    expect(lines(decideSignal(next.next, { ...send, at: AT + 499 }))).toEqual(['SignalDelivered B.s']);
  });

  it('is not given back by another', () => {
    expect(lines(decideSignal(after(claim('A')), release('B')))).toEqual(['not_holder']);
    expect(lines(decideSignal(after(claim('A')), release('A', 't')))).toEqual(['not_holder']);
    expect(lines(decideSignal(undefined, release('A')))).toEqual(['not_holder']);
  });

  const anyCommand: fc.Arbitrary<SignalCommand> = fc.oneof(
    fc
      .tuple(fc.constantFrom('A', 'B'), fc.constantFrom('s', 't'), fc.constantFrom('fail' as const, 'replace' as const))
      .map((args) => claim(...args)),
    fc.tuple(fc.constantFrom('A', 'B'), fc.constantFrom('s', 't')).map((args) => release(...args)),
    fc.constant(send),
  );

  it('is the fold of its transitions, has one run that waits, and does nothing twice but what is sent twice', () =>
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 30 }), (commands) => {
        let signal: Signal | undefined;
        let folded: Signal | undefined;
        for (const command of commands) {
          const decision = decideSignal(signal, command);
          signal = decision.next;
          folded = decision.transitions.reduce(evolveSignal, folded);
          expect(folded).toEqual(signal);
          expect(signal?.holder.stepIds.length).not.toBe(0);
          expect(new Set(signal?.holder.stepIds).size).toBe(signal?.holder.stepIds.length ?? 0);
          const again = decideSignal(signal, command);
          expect(again.next).toEqual(signal);
          expect(again.transitions.every(({ type }) => type === 'SignalRefused')).toBe(true);
        }
      }),
      { numRuns: 500 },
    ));
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROOT, World, type Due, type Posted, type Program, type ProgramStep } from '#testkit/run.world.js';
import { utf8Bytes } from '../json.js';
import type { RunCommand } from './run.commands.js';
import { decide } from './run.decide.js';
import { evolve, scheduled } from './run.evolve.js';
import { fault, faultOutput } from './run.faults.js';
import type { Op, Outcome } from './run.ops.js';
import { owed, settlement, type Owed } from './run.owed.js';
import { ENTRY, isEnded, isResolved, pendingCount, type Run } from './run.state.js';
import type { RunTransition } from './run.transitions.js';

function anyProgramOf(...kinds: readonly ProgramStep['kind'][]): fc.Arbitrary<Program> {
  const step = fc.record({ kind: fc.constantFrom(...kinds), failures: fc.nat(4), race: fc.boolean() });
  return fc
    .record({
      requestVersion: fc.constantFrom<1 | 2>(1, 2),
      checkpoints: fc.boolean(),
      limited: fc.boolean(),
      stages: fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 5 }),
    })
    .map(({ stages, ...program }) => ({
      ...program,
      stages: stages.map((steps, stage) => steps.map((one, index) => ({ ...one, id: `s${stage}.${index}` }))),
    }));
}

const anyProgram = anyProgramOf('run', 'run', 'sleep', 'wait', 'signal', 'invoke', 'fetch');

/** Chooses among what may happen; the world decides by these numbers which of it does. */
const anyChoices = fc.array(fc.nat(1_000), { minLength: 1, maxLength: 200 });

type Choose = (n: number) => number;

function chooser(choices: readonly number[]): Choose {
  let next = 0;
  return (n) => (choices[next++ % choices.length] ?? 0) % n;
}

/** One thing that is owed happens, and what follows from it. */
function turn(world: World, choose: Choose): void {
  if (world.signals.size > 0 && choose(4) === 0) world.post(...world.sendSignals());
  else world.post(...world.perform(anyDue(world, choose)));
  world.deliverAll();
}

function anyDue(world: World, choose: Choose): Due {
  const all = world.outstanding();
  expect(all.length, 'what has not ended is always owed something').toBeGreaterThan(0);
  return all[choose(all.length)] as Due;
}

/** Plays to the end, each time with any of the things that are owed. */
function finish(world: World, choose: Choose): World {
  world.deliverAll();
  for (let turns = 0; !world.ended; turns++) {
    expect(turns, 'a run ends').toBeLessThan(2_000);
    for (const run of world.runs.values()) check(run);
    turn(world, choose);
  }
  return world;
}

function play(program: Program, choices: readonly number[]): World {
  return finish(new World(program), chooser(choices));
}

/** What must be true of a run at any time. */
function check(run: Run): void {
  const steps = Object.values(run.steps);
  const pending = steps.filter((step) => !isResolved(step));
  const resolved = steps.filter(isResolved);
  const open: Record<number, number> = {};
  for (const { group, race } of pending) if (!race) open[group] = (open[group] ?? 0) + 1;
  const bytes = [...run.events, ...resolved.map(({ memo = '' }) => memo)].reduce(
    (sum, text) => sum + utf8Bytes(text),
    0,
  );
  const calls = Object.values(run.calls);
  const rules = {
    'counts its steps': run.stepCount === steps.length,
    'has in its stack what is resolved': same(
      run.stack,
      resolved.map(({ id }) => id),
    ),
    'counts what is open in its groups': JSON.stringify(run.openInGroup) === JSON.stringify(open),
    'counts its bytes': run.stateBytes === bytes,
    'is owed something, unless it has ended': owed(run).length > 0 === !isEnded(run),
    'has no calls when it has ended': !isEnded(run) || calls.length === 0,
    'wants an entry behind another': !run.entryWanted || run.calls[ENTRY] !== undefined,
    'has attempts left for its calls': calls.every(({ attempt }) => attempt < run.maxAttempts),
    'calls pending steps only': calls.every(({ target }) => target === ENTRY || !isResolved(run.steps[target])),
    'has a call for each step that needs one':
      isEnded(run) || pending.every(({ id, kind }) => !CALLED.has(kind) || run.calls[id] !== undefined),
  };
  for (const [rule, holds] of Object.entries(rules)) if (!holds) expect.fail(`a run ${rule}: ${JSON.stringify(run)}`);
}

const CALLED = new Set(['run', 'fetch', 'ai']);

function same(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && new Set([...some, ...others]).size === some.length;
}

function folded(world: World, runId: string): Run {
  const transitions = world.decisions
    .filter(({ key }) => key === runId)
    .flatMap(({ decision }) => decision.transitions);
  const [first, ...rest] = transitions as [Extract<RunTransition, { type: 'RunScheduled' }>, ...RunTransition[]];
  return rest.reduce(evolve, scheduled(runId, 'env', first));
}

function commandsOf(world: World, runId: string): readonly RunCommand[] {
  return world.log.flatMap(({ key, command }) => (key === runId ? [command as RunCommand] : []));
}

describe('a run', () => {
  it('ends, whatever comes first, with every step resolved once and the same output', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, anyChoices, (program, choices, others) => {
        const { run, signals } = play(program, choices);
        expect(run.state).toBe('completed');
        expect([...run.stack].sort()).toEqual(
          program.stages
            .flat()
            .map(({ id }) => id)
            .sort(),
        );
        expect(pendingCount(run)).toBe(0);
        expect(signals.size, 'no name of a signal is held any more').toBe(0);
        expect(run.output).toBe(play(program, others).run.output);
      }),
      { numRuns: 500 },
    ));

  it('runs each step body once for each attempt, where nothing is lost', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, (program, choices) => {
        const world = play(program, choices);
        for (const { id, kind, failures } of program.stages.flat()) {
          const times = kind === 'run' || kind === 'fetch' ? Math.min(failures, 2) + 1 : undefined;
          expect(world.executed.get(id)).toBe(times);
        }
      }),
      { numRuns: 300 },
    ));

  it('is the fold of its transitions, and of its commands', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, (program, choices) => {
        const world = play(program, choices);
        for (const [runId, run] of world.runs) {
          expect(folded(world, runId)).toEqual(run);
          const decisions = world.decisions.filter(({ key }) => key === runId);
          let again: Run | undefined;
          for (const [index, command] of commandsOf(world, runId).entries()) {
            const decision = decide(again, command);
            expect(decision).toEqual(decisions[index]?.decision);
            again = decision.next;
          }
        }
      }),
      { numRuns: 200 },
    ));

  it('does nothing when a command comes twice, at once or later', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, fc.nat(), (program, choices, pick) => {
        const commands = commandsOf(play(program, choices), ROOT);
        const early = commands[pick % commands.length] as RunCommand;
        let run: Run | undefined;
        let met = false;
        for (const command of commands) {
          run = decide(run, command).next;
          met ||= command === early;
          for (const other of met ? [command, early] : [command]) {
            const again = decide(run, other);
            expect(again.transitions).toEqual([]);
            expect(again.next).toBe(run);
          }
        }
      }),
      { numRuns: 300 },
    ));

  it('keeps what is out and what is owed the same, step by step', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, (program, choices) => {
        const world = new World(program);
        const choose = chooser(choices);
        const out = new Map<string, number>();
        let before: readonly Owed[] = [];
        for (;;) {
          const after = owed(world.run);
          const change = settlement(before, after);
          for (const { kind, id } of change.back) out.delete(`${kind}|${id}`);
          for (const { kind, id, at } of change.out) out.set(`${kind}|${id}`, at);
          expect([...out].sort()).toEqual(after.map(({ kind, id, at }) => [`${kind}|${id}`, at]).sort());
          before = after;
          if (isEnded(world.run)) return;
          turn(world, choose);
        }
      }),
      { numRuns: 200 },
    ));

  it('enters the function once for a group, and after each step of a race', () => {
    const entries = (race: boolean) => {
      const steps = ['a', 'b', 'c'].map((id) => ({ id, kind: 'run' as const, failures: 0, race }));
      const world = new World({ requestVersion: 2, stages: [steps] });
      while (!world.ended) {
        const all = world.outstanding();
        const entry = all.find(({ item }) => item.kind === 'work' && item.call.target === ENTRY);
        world.post(...world.perform(entry ?? (all[0] as Due)));
        world.deliverAll();
      }
      return commandsOf(world, ROOT).filter(({ type, ...more }) => {
        return type === 'ReportCall' && (more as { work: { target: string } }).work.target === ENTRY;
      }).length;
    };
    expect(entries(false)).toBe(2);
    expect(entries(true)).toBe(4);
  });

  it('never changes a memo', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, (program, choices) => {
        const memos = new Map<string, string>();
        let run: Run | undefined;
        for (const command of commandsOf(play(program, choices), ROOT)) {
          run = decide(run, command).next;
          for (const [id, memo] of memos) expect(run?.steps[id]?.memo).toBe(memo);
          for (const { id, memo } of Object.values(run?.steps ?? {})) if (memo !== undefined) memos.set(id, memo);
        }
      }),
      { numRuns: 100 },
    ));
});

/**
 * Plays with a world where answers are lost, late or double: what was performed waits in the letterbox while other things happen.
 * @param chaos what else happens, by chance; returns what it posts
 */
function disturbed(world: World, choose: Choose, turns: number, chaos: () => readonly Posted[] = () => []): World {
  const late: Posted[] = [];
  for (let n = 0; n < turns && !world.ended; n++) {
    for (const run of world.runs.values()) check(run);
    switch (choose(8)) {
      case 0: // An answer is lost, or comes much later.
        if (world.outstanding().length > 0) late.push(...world.perform(anyDue(world, choose)));
        break;
      case 1:
        if (late.length > 0) world.post(...late.splice(choose(late.length), 1));
        break;
      case 2: // What was posted is posted again: the first append could not be told to be in.
        if (world.log.length > 0) again(world, world.log[choose(world.log.length)] as Posted);
        break;
      case 3:
        world.post(...chaos());
        break;
      case 4:
        world.post(...world.sendSignals());
        break;
      default:
        if (world.outstanding().length > 0 && choose(2) === 0) world.post(...world.perform(anyDue(world, choose)));
        for (let some = choose(4); some >= 0; some--) deliver(world);
    }
  }
  world.post(...late);
  return world;
}

/** Only who posted a claim posts it again, and has then also posted again what came behind: the name was given back. */
function again(world: World, posted: Posted): void {
  const { command } = posted;
  world.post(posted);
  if (command.type !== 'ClaimSignal') return;
  const run = world.runs.get(command.runId) as Run;
  if (!isEnded(run) && !isResolved(run.steps[command.stepId])) return;
  const { env, signal, at, runId, stepId } = command;
  world.post({ key: posted.key, command: { type: 'ReleaseSignal', env, signal, at, runId, stepId } });
}

/** What a command took off the shelf is never owed again under the same id and time: nobody would put it out. */
function deliver(world: World): void {
  const head = world.letterbox[0];
  if (!head) return;
  const taken = takenBy(head, world.runs.get(head.key));
  world.deliver();
  const still = owed(world.runs.get(head.key)).map(shelf);
  for (const item of taken) expect(still, `${head.command.type} takes it`).not.toContain(shelf(item));
}

function shelf({ kind, id, at }: Owed): string {
  return `${kind}|${id}|${at}`;
}

function takenBy({ command }: Posted, run: Run | undefined): readonly Owed[] {
  return owed(run).filter((item) => {
    if (command.type === 'ReportCall' && item.kind === 'work') {
      const { target, seq, generation } = command.work;
      return item.call.target === target && item.call.seq === seq && item.call.generation === generation;
    }
    if (command.type === 'FireTimer' && item.kind === 'timer') {
      return item.timer === command.kind && item.stepId === command.stepId && item.at <= command.at;
    }
    return command.type === 'ResumeStep' && item.kind === 'pause' && item.pause.stepId === command.stepId;
  });
}

describe('in a world where answers are lost, late and double', () => {
  it('a run ends the same', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, (program, choices) => {
        const choose = chooser(choices);
        const world = finish(disturbed(new World(program), choose, 150), choose);
        expect(world.run.output).toBe(play(program, choices).run.output);
        expect(world.released.includes(ROOT), 'a singleton is given back').toBe(program.limited ?? false);
        for (const [runId, run] of world.runs) expect(folded(world, runId)).toEqual(run);
      }),
      { numRuns: 500 },
    ));

  it('nobody holds the name of a signal who does not wait for it', () =>
    fc.assert(
      fc.property(anyProgramOf('signal', 'run', 'sleep'), anyChoices, (program, choices) => {
        const choose = chooser(choices);
        const world = disturbed(new World(program), choose, 60);
        world.deliverAll();
        for (const { holder } of world.signals.values()) {
          const run = world.runs.get(holder.runId) as Run;
          expect(isEnded(run)).toBe(false);
          for (const stepId of holder.stepIds) expect(isResolved(run.steps[stepId])).toBe(false);
        }
      }),
      { numRuns: 200 },
    ));

  it('who invoked a run that has ended does not wait for it any more', () =>
    fc.assert(
      fc.property(anyProgramOf('invoke', 'run'), anyChoices, (program, choices) => {
        const choose = chooser(choices);
        const world = disturbed(new World(program), choose, 60);
        world.deliverAll();
        for (const child of world.runs.values()) {
          if (!isEnded(child)) continue;
          for (const { runId, stepId } of child.parents) {
            const parent = world.runs.get(runId) as Run;
            expect(isEnded(parent) || isResolved(parent.steps[stepId])).toBe(true);
          }
        }
      }),
      { numRuns: 200 },
    ));
});

const IDS = ['a', 'b', 'c', 's0.0', 's0.1'] as const;

/** Answers that no SDK should give, and those that it may. */
const anyOp: fc.Arbitrary<Op> = fc
  .record({
    id: fc.constantFrom(...IDS),
    race: fc.boolean(),
    wait: fc.constantFrom(0, 50, 1e9),
    kind: fc.constantFrom(
      ...(['StepDone', 'StepError', 'StepFailed', 'StepPlanned', 'Sleep', 'WaitForEvent', 'WaitForSignal'] as const),
      ...(['InvokeFunction', 'Gateway', 'DiscoveryRequest', 'DeferAdd', 'DeferAbort', 'RunComplete'] as const),
    ),
  })
  .map(({ id, race, wait, kind }): Op => {
    const base = { id, name: id, race };
    const until = { at: wait };
    switch (kind) {
      case 'StepDone':
        return { ...base, op: kind, memo: `{"data":"${id}"}` };
      case 'StepError':
      case 'StepFailed':
        return { ...base, op: kind, fault: fault('Error', 'x') };
      case 'Sleep':
        return { ...base, op: kind, until };
      case 'WaitForEvent':
        return { ...base, op: kind, event: 'e', until };
      case 'WaitForSignal':
        return { ...base, op: kind, signal: 'go', conflict: race ? 'replace' : 'fail', until };
      case 'InvokeFunction':
        return { ...base, op: kind, functionRef: 'child-1', payload: '{}', until };
      case 'Gateway':
        return { ...base, op: kind, request: '{}' };
      case 'DeferAdd':
        return { ...base, op: kind, functionRef: 'f', payload: '{}' };
      case 'DeferAbort':
        return { ...base, op: kind, target: id };
      case 'RunComplete':
        return { ...base, op: kind, data: '1' };
      default:
        return { ...base, op: kind };
    }
  });

const anyOutcome: fc.Arbitrary<Outcome> = fc.oneof(
  { weight: 4, arbitrary: fc.uniqueArray(anyOp, { maxLength: 4, selector: ({ id }) => id }).map(replied) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('500', '400', 'http_reset', 'step_not_found', 'stale_dispatch')
      .map((code) => thrown(code)),
  },
);

function replied(ops: readonly Op[]): Outcome {
  return { kind: 'ops', ops, noRetry: false };
}

function thrown(code: string): Outcome {
  const why = fault('Error', code);
  const transport = code === 'http_reset';
  return { kind: 'error', fault: why, output: faultOutput(why), noRetry: code === '400', transport, code };
}

describe('whatever an app answers', () => {
  it('a run is never left without what comes next, and ends once the app behaves', () =>
    fc.assert(
      fc.property(
        anyProgramOf('run', 'sleep', 'wait'),
        anyChoices,
        fc.array(anyOutcome, { minLength: 1, maxLength: 30 }),
        (program, choices, outcomes) => {
          const choose = chooser(choices);
          const world = new World(program);
          const anyway = outcomes.values();
          disturbed(world, choose, 100, () => {
            const { value } = anyway.next();
            const work = world.outstanding().filter(({ item }) => item.kind === 'work');
            const { item, runId } = work[work.length === 0 ? 0 : choose(work.length)] ?? {};
            if (!value || item?.kind !== 'work' || runId === undefined) return [];
            world.now = Math.max(world.now + 1, item.at);
            const report = { key: runId, command: world.report(runId, item.call, value) };
            if (value.kind === 'error' || choose(3) > 0) return [report];
            const { seq, generation } = item.call;
            const base = { runId, env: 'env', at: world.now };
            return [
              { key: runId, command: { ...base, type: 'CheckpointSteps', seq, generation, ops: value.ops } },
              report,
            ];
          });
          // What it invented it does not know: its calls are answered with nothing until they fail.
          finish(world, choose);
          for (const [runId, run] of world.runs) expect(folded(world, runId)).toEqual(run);
        },
      ),
      { numRuns: 500 },
    ));
});

describe('a run that is ended from outside', () => {
  it('takes nothing after a cancel, and is owed nothing', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, fc.nat(30), (program, choices, when) => {
        const world = new World(program);
        const choose = chooser(choices);
        for (let n = 0; !isEnded(world.run) && n < when; n++) turn(world, choose);
        const ofRoot = world.outstanding().filter(({ runId }) => runId === ROOT);
        const underWay = ofRoot.flatMap((due) => world.perform(due));
        world.post({ key: ROOT, command: { type: 'CancelRun', runId: ROOT, env: 'env', at: world.now, by: 'api' } });
        world.deliverAll();
        expect(isEnded(world.run)).toBe(true);
        expect(owed(world.run)).toEqual([]);
        for (const { command } of underWay) expect(decide(world.run, command as RunCommand).ignored).toBe('run_ended');
      }),
      { numRuns: 200 },
    ));

  it('ends at any moment, once, with all that it held given back', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, (program, choices) => {
        const choose = chooser(choices);
        const world = new World(program, { startTimeoutMs: 10_000 });
        disturbed(world, choose, 80, () => {
          const base = { runId: ROOT, env: 'env', at: ++world.now };
          const commands: readonly RunCommand[] = [
            { ...base, type: 'CancelRun', by: 'event' },
            { ...base, type: 'StartRun', finishTimeoutMs: 5_000 },
            { ...base, type: 'ReviewTimeouts', finishTimeoutMs: 1_000 * (1 + choose(9)) },
            { ...base, type: 'ReviewTimeouts' },
            { ...base, type: 'FireTimer', kind: choose(2) ? 'start' : 'finish', limitMs: 1_000 * choose(20) },
          ];
          return [{ key: ROOT, command: commands[choose(commands.length)] as RunCommand }];
        });
        finish(world, choose);
        const ends = world.decisions
          .filter(({ key }) => key === ROOT)
          .flatMap(({ decision }) => decision.transitions)
          .filter(({ type }) => type === 'RunCompleted' || type === 'RunFailed' || type === 'RunCancelled');
        expect(ends).toHaveLength(1);
        expect(world.signals.size).toBe(0);
      }),
      { numRuns: 300 },
    ));
});

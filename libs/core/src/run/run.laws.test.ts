import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide } from './run.decide.js';
import { evolve, scheduled } from './run.evolve.js';
import { settlement, type Owed } from './run.owed.js';
import { Simulation, type Program } from './run.simulation.js';
import { isResolved, pendingCount, type Run } from './run.state.js';
import type { RunTransition } from './run.transitions.js';

const anyProgram: fc.Arbitrary<Program> = fc
  .record({
    requestVersion: fc.constantFrom<1 | 2>(1, 2),
    stages: fc.array(
      fc.array(
        fc.record({
          kind: fc.constantFrom('run' as const, 'run' as const, 'sleep' as const, 'wait' as const),
          failures: fc.nat(4),
          race: fc.boolean(),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      { maxLength: 5 },
    ),
  })
  .map(({ requestVersion, stages }) => ({
    requestVersion,
    stages: stages.map((steps, stage) => steps.map((step, index) => ({ ...step, id: `s${stage}.${index}` }))),
  }));

/** Chooses among what may happen; the world decides by these numbers which of it does. */
const anyChoices = fc.array(fc.nat(1_000), { minLength: 1, maxLength: 200 });

function chooser(choices: readonly number[]): (n: number) => number {
  let next = 0;
  return (n) => (choices[next++ % choices.length] ?? 0) % n;
}

/** Plays a program to its end, each time with any of the things that are owed. */
function play(program: Program, choices: readonly number[]): Simulation {
  const world = new Simulation(program);
  const choose = chooser(choices);
  for (let turns = 0; !world.ended; turns++) {
    const all = world.outstanding();
    expect(all.length, 'a run that has not ended is always owed something').toBeGreaterThan(0);
    expect(turns, 'a run ends').toBeLessThan(2_000);
    world.append(world.perform(all[choose(all.length)] as Owed));
  }
  return world;
}

function folded(world: Simulation): Run {
  const transitions = world.decisions.flatMap((decision) => decision.transitions);
  const [first, ...rest] = transitions as [Extract<RunTransition, { type: 'RunScheduled' }>, ...RunTransition[]];
  return rest.reduce(evolve, scheduled(world.runId, 'env', first));
}

describe('a run', () => {
  it('ends, whatever comes first, with every step resolved once and the same output', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, anyChoices, (program, choices, others) => {
        const world = play(program, choices);
        const run = world.run as Run;
        expect(run.state).toBe('completed');
        const steps = program.stages.flat();
        expect([...run.stack].sort()).toEqual(steps.map(({ id }) => id).sort());
        expect(pendingCount(run)).toBe(0);
        expect(run.output).toBe((play(program, others).run as Run).output);
      }),
      { numRuns: 500 },
    ));

  it('runs each step body once for each attempt, where nothing is lost', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, (program, choices) => {
        const world = play(program, choices);
        for (const step of program.stages.flat().filter(({ kind }) => kind === 'run')) {
          expect(world.executed.get(step.id)).toBe(Math.min(step.failures, 2) + 1);
        }
      }),
      { numRuns: 300 },
    ));

  it('is the fold of its transitions, at every prefix', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, (program, choices) => {
        const world = play(program, choices);
        expect(folded(world)).toEqual(world.run);
        let run: Run | undefined;
        for (const [index, command] of world.log.entries()) {
          const decision = decide(run, command);
          expect(decision).toEqual(world.decisions[index]);
          run = decision.next;
        }
      }),
      { numRuns: 200 },
    ));

  it('does nothing when a command comes twice, at once or later', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, fc.nat(), (program, choices, pick) => {
        const world = play(program, choices);
        let run: Run | undefined;
        const early = world.log[pick % world.log.length];
        for (const command of world.log) {
          run = decide(run, command).next;
          const again = decide(run, command);
          expect(again.transitions).toEqual([]);
          expect(again.next).toBe(run);
          if (command === early) continue;
        }
        if (early) expect(decide(run, early).transitions).toEqual([]);
      }),
      { numRuns: 300 },
    ));

  it('ends the same wherever it crashes: calls under way are lost or answered late, and what is owed is put out again', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, fc.array(fc.nat(60), { maxLength: 8 }), (program, choices, crashes) => {
        const calm = play(program, choices);
        const world = new Simulation(program);
        const choose = chooser(choices);
        const late: Parameters<Simulation['append']>[0][] = [];
        for (let turn = 0; !world.ended; turn++) {
          expect(turn).toBeLessThan(4_000);
          const all = world.outstanding();
          const command = world.perform(all[choose(all.length)] as Owed);
          if (crashes.includes(turn)) {
            late.push(command); // The app did the work; its answer comes after the crash, or never.
            continue;
          }
          world.append(command);
          if (late.length > 0 && choose(3) === 0) world.append(late.pop() as typeof command);
        }
        for (const command of late) expect(world.append(command).transitions).toEqual([]);
        expect(world.run?.output).toBe(calm.run?.output);
      }),
      { numRuns: 500 },
    ));

  it('takes nothing after a cancel, and is owed nothing', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, fc.nat(30), (program, choices, when) => {
        const world = new Simulation(program);
        const choose = chooser(choices);
        for (let turn = 0; !world.ended && turn < when; turn++) {
          const all = world.outstanding();
          world.append(world.perform(all[choose(all.length)] as Owed));
        }
        const underWay = world.ended ? [] : world.outstanding().map((item) => world.perform(item));
        world.append({ type: 'CancelRun', runId: world.runId, env: 'env', at: world.now, by: 'api' });
        expect(world.ended).toBe(true);
        expect(world.outstanding()).toEqual([]);
        for (const command of underWay) expect(world.append(command).ignored).toBe('run_ended');
      }),
      { numRuns: 200 },
    ));

  it('keeps what is out and what is owed the same, step by step', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, (program, choices) => {
        const world = new Simulation(program);
        const out = new Map<string, number>();
        const choose = chooser(choices);
        let before: readonly Owed[] = [];
        for (;;) {
          const after = world.outstanding();
          const change = settlement(before, after);
          for (const { kind, id } of change.back) out.delete(`${kind}|${id}`);
          for (const { kind, id, at } of change.out) out.set(`${kind}|${id}`, at);
          expect([...out].sort()).toEqual(after.map(({ kind, id, at }) => [`${kind}|${id}`, at]).sort());
          before = after;
          if (world.ended) return;
          world.append(world.perform(after[choose(after.length)] as Owed));
        }
      }),
      { numRuns: 200 },
    ));

  it('enters the function once for a group, and after each step of a race', () => {
    const entries = (race: boolean) => {
      const steps = ['a', 'b', 'c'].map((id) => ({ id, kind: 'run' as const, failures: 0, race }));
      const world = new Simulation({ requestVersion: 2, stages: [steps] });
      while (!world.ended) {
        const all = world.outstanding();
        const entry = all.find((item) => item.kind === 'work' && item.call.target === 'step');
        world.append(world.perform(entry ?? (all[0] as Owed)));
      }
      return world.log.filter((command) => command.type === 'ReportCall' && command.work.target === 'step').length;
    };
    expect(entries(false)).toBe(2);
    expect(entries(true)).toBe(4);
  });

  it('never loses a step that was resolved', () =>
    fc.assert(
      fc.property(anyProgram, anyChoices, (program, choices) => {
        const world = play(program, choices);
        const memos = new Map<string, string>();
        let run: Run | undefined;
        for (const command of world.log) {
          run = decide(run, command).next;
          for (const [id, memo] of memos) expect(run?.steps[id]?.memo).toBe(memo);
          for (const step of Object.values(run?.steps ?? {}))
            if (isResolved(step)) memos.set(step.id, step.memo as string);
        }
      }),
      { numRuns: 100 },
    ));
});

import { describe, expect, it } from 'vitest';
import type { Command } from '#core/effects.js';
import type { RunTransition } from '#core/run/run.transitions.js';
import {
  cancelled,
  fetches,
  given,
  invokes,
  replies,
  resumes,
  RUN_ID,
  scheduled,
  started,
} from '#testkit/run.story.js';
import type { AnyRoom } from './room.js';
import { ROOMS } from './rooms.js';

const [admissions, runs, signals, crons] = ROOMS as readonly [AnyRoom, AnyRoom, AnyRoom, AnyRoom];
const at = { partition: 0, offset: 7 };

it('every command has one room', () => {
  const commands = ROOMS.flatMap((room) => room.commands);
  expect(new Set(commands).size).toBe(commands.length);
  expect(ROOMS.map(({ space }) => space)).toEqual(['admission', 'run', 'signal', 'cron']);
});

describe('a run that has ended and whose state is gone', () => {
  const tombstone = runs.tombstone(RUN_ID);
  const { commands } = given(scheduled(), started(), replies([invokes('i')]), resumes('i', { memo: '1' }), cancelled);

  it.each(commands)('takes no $type', (command: Command) => {
    const decision = runs.decide(tombstone, command, at);
    expect(decision).toMatchObject({ transitions: [], next: tombstone });
    expect(decision.ignored).toBe(command.type === 'ScheduleRun' ? 'run_exists' : 'run_ended');
  });

  it('is owed nothing, and is over', () => {
    expect(tombstone && runs.owed(tombstone)).toEqual([]);
    expect(tombstone && runs.isOver(tombstone)).toBe(true);
  });
});

it('what runs tell the public holds no requests that may carry keys', () => {
  const { now } = given(scheduled(), started());
  const [report] = given(scheduled(), started(), replies([fetches('f'), invokes('i')])).commands.slice(-1);
  const told = runs.decide(now, report as Command, at).transitions.map((t) => runs.publish(t) as RunTransition);
  const planned = told.filter((t) => t.type === 'StepPlanned');
  expect(planned.map(({ stepId, request }) => [stepId, request])).toEqual([
    ['f', undefined],
    ['i', '{"data":{"q":1}}'],
  ]);
});

it('signals, crons and controls leave nothing behind when they are gone', () => {
  expect([signals.tombstone('s'), crons.tombstone('c'), admissions.tombstone('a')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

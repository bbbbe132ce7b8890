import { cronNext } from '#core/cron/cron.next.js';
import { jitterOf } from '#core/cron/cron.jitter.js';
import {
  cronEffects,
  cronOwed,
  decideCron,
  type Calendar,
  type CronCommand,
  type CronState,
} from '#core/cron/cron.aggregate.js';
import type { Command } from '#core/effects.js';
import type { RunCommand } from '#core/run/run.commands.js';
import type { Admission, AdmissionCommand } from '#core/admission/admission.js';
import { decideAdmission } from '#core/admission/admission.decide.js';
import { admissionOwed } from '#core/admission/admission.owed.js';
import { decide } from '#core/run/run.decide.js';
import { runEffects } from '#core/run/run.effects.js';
import { scheduled } from '#core/run/run.evolve.js';
import { owed } from '#core/run/run.owed.js';
import { isOver, type Run } from '#core/run/run.state.js';
import type { RunTransition } from '#core/run/run.transitions.js';
import {
  decideSignal,
  signalEffects,
  type Signal,
  type SignalCommand,
  type SignalTransition,
} from '#core/signal/signal.js';
import type { CronTransition } from '#core/cron/cron.aggregate.js';
import type { AnyRoom, Room } from './room.js';

/** The commands of a room, by name: the compiler says when one is left out, which would go to the dead letters. */
function namesOf<C extends Command>(names: Readonly<Record<C['type'], true>>): readonly C['type'][] {
  return Object.keys(names) as C['type'][];
}

const runs: Room<Run, RunCommand> = {
  space: 'run',
  commands: namesOf<RunCommand>({
    ScheduleRun: true,
    SkipRun: true,
    StartRun: true,
    StartCall: true,
    DropCall: true,
    ReportCall: true,
    CheckpointSteps: true,
    FireTimer: true,
    ResumeStep: true,
    LinkChild: true,
    CancelRun: true,
    ReviewTimeouts: true,
    AddMetadata: true,
  }),
  decide,
  effects: (before, { transitions, next }) =>
    next ? runEffects(before, transitions as readonly RunTransition[], next) : [],
  owed,
  isOver,
  tombstone,
  publish: (transition) => {
    const t = transition as RunTransition;
    if (t.type !== 'StepPlanned' || t.request === undefined || t.kind === 'invoke') return t;
    const { request: _request, ...rest } = t; // Requests that functions have made for them may carry keys.
    return rest;
  },
};

/** A run that has ended and whose state is gone: it only has to be there, so that it is not scheduled again. */
function tombstone(id: string): Run {
  const empty = {
    functionId: '',
    functionSlug: '',
    functionVersion: 0,
    appId: '',
    appName: '',
    events: [],
    eventIds: [],
    eventName: '',
  };
  const run = scheduled(id, '', {
    type: 'RunScheduled',
    at: 0,
    startAt: 0,
    maxAttempts: 1,
    parents: [],
    cancelOn: [],
    ...empty,
  });
  return { ...run, state: 'completed' };
}

const signals: Room<Signal, SignalCommand> = {
  space: 'signal',
  commands: namesOf<SignalCommand>({ ClaimSignal: true, ReleaseSignal: true, SendSignal: true }),
  decide: decideSignal,
  effects: (_before, { transitions }, command) => signalEffects(transitions as readonly SignalTransition[], command),
  owed: () => [],
  isOver: () => false,
  tombstone: () => undefined,
  publish: (transition) => transition,
};

const calendar: Calendar = { next: cronNext, jitter: jitterOf };

const crons: Room<CronState, CronCommand> = {
  space: 'cron',
  commands: namesOf<CronCommand>({ ArmCron: true, DisarmCron: true, TickCron: true }),
  decide: (state, command) => decideCron(state, command, calendar),
  effects: (_before, { transitions }, command) => cronEffects(transitions as readonly CronTransition[], command),
  owed: cronOwed,
  isOver: () => false,
  tombstone: () => undefined,
  publish: (transition) => transition,
};

export const ADMISSION = 'admission';

const admissions: Room<Admission, AdmissionCommand> = {
  space: ADMISSION,
  commands: namesOf<AdmissionCommand>({
    OfferRun: true,
    FireAdmission: true,
    ReleaseSingleton: true,
    SpendThrottle: true,
    ForgetAdmission: true,
  }),
  decide: decideAdmission,
  effects: (_before, { effects = [] }) => effects,
  owed: admissionOwed,
  isOver: () => false,
  tombstone: () => undefined,
  publish: (transition) => transition,
};

/**
 * Every kind of aggregate that a desk serves, in the order in which what is owed is put out after a loss: where throttles stand must be known
 * before work is out.
 */
export const ROOMS: readonly AnyRoom[] = [admissions, runs, signals, crons] as readonly unknown[] as readonly AnyRoom[];

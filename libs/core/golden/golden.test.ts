import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { replay, type GoldenCommand, type GoldenDecision } from '#testkit/golden.replay.js';
import { scenario } from '#testkit/golden.scenario.js';
import type { AdmissionTransition } from '../src/admission/admission.js';
import type { CronTransition } from '../src/cron/cron.aggregate.js';
import type { Command } from '../src/effects.js';
import type { ReportCall } from '../src/run/run.commands.js';
import type { Op } from '../src/run/run.ops.js';
import type { RunTransition } from '../src/run/run.transitions.js';
import type { SignalTransition } from '../src/signal/signal.js';

/**
 * Logs of older versions are kept for ever and replayed: what a command meant when it was written it still means, or two owners of
 * different versions would not come to the same, and a rebuild would not give back what was there. A version is never written again.
 * One that writes commands in another way keeps a log of its own: GOLDEN_WRITE=v2 npx vitest run libs/core/golden
 */
const HOME = import.meta.dirname;
const FILES = { commands: 'commands.jsonl', decisions: 'decisions.jsonl', states: 'states.jsonl' } as const;

function write(version: string): void {
  const folder = join(HOME, version);
  if (!/^v\d+$/.test(version)) throw new Error(`a version is named v1, v2, ...: ${version}`);
  if (existsSync(folder)) throw new Error(`${version} is kept already: what was written is not written again`);
  const commands = scenario();
  const { decisions, states } = replay(commands);
  mkdirSync(folder);
  const put = (file: string, lines: readonly unknown[]) =>
    writeFileSync(join(folder, file), lines.map((line) => JSON.stringify(line) + '\n').join(''));
  put(FILES.commands, commands);
  put(FILES.decisions, decisions);
  put(FILES.states, states);
}

function read<T>(version: string, file: string): readonly T[] {
  const text = readFileSync(join(HOME, version, file), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

const wanted = process.env['GOLDEN_WRITE'];
if (wanted) write(wanted);

const versions = readdirSync(HOME)
  .filter((name) => /^v\d+$/.test(name))
  .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));

describe.each(versions)('a log of %s', (version) => {
  const log = read<GoldenCommand>(version, FILES.commands);
  const again = JSON.parse(JSON.stringify(replay(log))) as ReturnType<typeof replay>;

  it('means what it meant: the same transitions, effects and debts', () => {
    const decisions = read<GoldenDecision>(version, FILES.decisions);
    expect(decisions).toHaveLength(log.length);
    for (const [index, decision] of decisions.entries()) {
      const { effects, ...rest } = decision;
      const { effects: effectsNow = [], ...restNow } = again.decisions[index] ?? {};
      const where = `line ${index + 1}: ${log[index]?.type} of ${decision.key}`;
      expect(restNow, where).toEqual(rest);
      expect(effectsNow, where).toHaveLength(effects.length);
      // What goes to the log today may say more than it did; nothing that it said is said otherwise.
      expect(effectsNow, where).toMatchObject(effects);
    }
  });

  it('ends in the same states', () => expect(again.states).toEqual(read(version, FILES.states)));
});

describe('the newest log', () => {
  const version = versions.at(-1) ?? 'v1';
  const log = read<GoldenCommand>(version, FILES.commands);

  it('is what this version writes; if not, it wants a log of its own', () =>
    expect(JSON.parse(JSON.stringify(scenario()))).toEqual(log));

  it('holds every command', () => expect(kinds(log.map(({ type }) => type))).toEqual(kinds(COMMANDS)));

  it('holds every operation', () => {
    const ops = log.flatMap(({ body }) => (body.type === 'ReportCall' ? opsOf(body) : []));
    expect(kinds(ops)).toEqual(kinds(OPS));
  });

  it('holds every transition', () => {
    const told = read<GoldenDecision>(version, FILES.decisions).flatMap(({ transitions }) => transitions);
    expect(kinds(told.map(({ type }) => type))).toEqual(kinds(TRANSITIONS));
  });
});

it('a version that is kept is not written again', () => expect(() => write('v1')).toThrow(/not written again/));

function opsOf({ outcome }: ReportCall): readonly string[] {
  return outcome.kind === 'ops' ? outcome.ops.map(({ op }) => op) : [];
}

function kinds(names: readonly string[]): readonly string[] {
  return [...new Set(names)].sort();
}

/** The compiler says when one is missing. */
const COMMANDS = namesOf<Command['type']>({
  ScheduleRun: true,
  SkipRun: true,
  StartCall: true,
  DropCall: true,
  StartRun: true,
  ReportCall: true,
  CheckpointSteps: true,
  FireTimer: true,
  ResumeStep: true,
  LinkChild: true,
  CancelRun: true,
  ReviewTimeouts: true,
  AddMetadata: true,
  ClaimSignal: true,
  ReleaseSignal: true,
  SendSignal: true,
  ArmCron: true,
  DisarmCron: true,
  TickCron: true,
  OfferRun: true,
  FireAdmission: true,
  ReleaseSingleton: true,
  SpendThrottle: true,
  ForgetAdmission: true,
});

const OPS = namesOf<Op['op']>({
  StepDone: true,
  StepError: true,
  StepFailed: true,
  StepPlanned: true,
  Sleep: true,
  WaitForEvent: true,
  WaitForSignal: true,
  InvokeFunction: true,
  Gateway: true,
  AIGateway: true,
  RunComplete: true,
  DiscoveryRequest: true,
  DeferAdd: true,
  DeferAbort: true,
});

const TRANSITIONS = namesOf<(RunTransition | SignalTransition | CronTransition | AdmissionTransition)['type']>({
  RunScheduled: true,
  RunSkipped: true,
  CallStarted: true,
  RunStarted: true,
  VersionNegotiated: true,
  StepPlanned: true,
  StepCompleted: true,
  StepErrored: true,
  StepFailed: true,
  CallSettled: true,
  CallErrored: true,
  CallProgressed: true,
  ChildLinked: true,
  CallPlanned: true,
  EntryWanted: true,
  TimeoutMoved: true,
  DeferAdded: true,
  DeferAborted: true,
  MetadataAdded: true,
  RunCompleted: true,
  RunFailed: true,
  RunCancelled: true,
  SignalClaimed: true,
  SignalRefused: true,
  SignalReleased: true,
  SignalDelivered: true,
  CronArmed: true,
  CronDisarmed: true,
  CronTicked: true,
  RateCharged: true,
  RateLimited: true,
  DebounceOpened: true,
  DebounceMoved: true,
  DebounceOutdated: true,
  DebounceFired: true,
  DebounceDropped: true,
  BatchOpened: true,
  BatchJoined: true,
  BatchFired: true,
  BatchDropped: true,
  EventIdTaken: true,
  EventIdRefused: true,
  SingletonTaken: true,
  SingletonSkipped: true,
  SingletonReleased: true,
  ThrottleSpent: true,
  AdmissionForgotten: true,
});

function namesOf<T extends string>(names: Readonly<Record<T, true>>): readonly string[] {
  return Object.keys(names);
}

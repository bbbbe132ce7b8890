import type { Admission } from '#core/admission/admission.js';
import type { OwedAdmission } from '#core/admission/admission.owed.js';
import type { Command, Effect } from '#core/effects.js';
import type { Run } from '#core/run/run.state.js';
import type { Signal } from '#core/signal/signal.js';
import type { CronState } from '#core/cron/cron.aggregate.js';
import type { Owed } from '#core/run/run.owed.js';
import type { Position } from '#core/words.js';

export type Aggregate = Run | Signal | CronState | Admission;

export interface AnyTransition {
  readonly type: string;
  readonly at: number;
}

/** What a cron trigger is owed. */
export interface OwedTick {
  readonly kind: 'tick';
  readonly id: string;
  readonly at: number;
}

export type OwedItem = Owed | OwedTick | OwedAdmission;

/** What became of a command. */
export interface RoomDecision<S> {
  readonly transitions: readonly AnyTransition[];
  readonly next: S | undefined;
  readonly ignored?: string;
  /** Records that go to the log with the transitions, where the rules say them together. */
  readonly effects?: readonly Effect[];
}

/** One kind of aggregate, as the desk handles it: plain functions of the core behind one face. */
export interface Room<S, C extends Command> {
  readonly space: string;
  readonly commands: readonly C['type'][];
  /** @param position of the command */
  decide(state: S | undefined, command: C, position: Position): RoomDecision<S>;
  /** Records that go to the log with the transitions. */
  effects(before: S | undefined, decision: RoomDecision<S>, command: C): readonly Effect[];
  owed(state: S | undefined): readonly OwedItem[];
  /** Nothing more can happen to it: its state may go. */
  isOver(state: S): boolean;
  /** What stands for one that has ended and whose state is gone. */
  tombstone(id: string): S | undefined;
  /** A transition as the public may read it. */
  publish(transition: AnyTransition): unknown;
}

/** A room whose types are checked where it is made. */
export type AnyRoom = Room<Aggregate, Command>;

import type { Command } from '#core/effects.js';
import { Fault } from '#core/faults.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog } from '#ports/event-log.port.js';
import type { Ids } from '#ports/ids.port.js';
import { Letterbox, type Addressed, type Answer } from '#ports/letterbox.port.js';
import { recordOfCommand } from '#ports/records.js';
import type { Desk } from './desk.js';

const ANSWER_MS = 15_000;

/** The letterbox where the desk is in the same process: answers come from the desk itself. */
export class DeskLetterbox extends Letterbox {
  private desk: Pick<Desk, 'expect'> | undefined;

  constructor(
    private readonly log: EventLog,
    private readonly clock: Clock,
    private readonly ids: Ids,
  ) {
    super();
  }

  /** The desk that answers. It needs a letterbox itself, hence not in the constructor. */
  serve(desk: Pick<Desk, 'expect'>): void {
    this.desk = desk;
  }

  override async post(commands: readonly Addressed[]): Promise<void> {
    if (commands.length === 0) return;
    await this.log.append(commands.map(({ key, command }) => recordOfCommand(key, command)));
  }

  override async ask(key: string, command: Command): Promise<Answer> {
    const { desk } = this;
    if (!desk) throw new Fault('overloaded', {}, { message: 'The runner is starting; try again.' });
    const ask = this.ids.ulid();
    const answer = Promise.withResolvers<Answer>();
    const forget = desk.expect(ask, answer.resolve);
    const cancel = this.clock.at(this.clock.now() + ANSWER_MS, () =>
      answer.reject(new Fault('overloaded', { key, type: command.type })),
    );
    try {
      await this.log.append([recordOfCommand(key, { ...command, ask })]);
      return await answer.promise;
    } finally {
      cancel();
      forget();
      answer.promise.catch(() => undefined);
    }
  }
}

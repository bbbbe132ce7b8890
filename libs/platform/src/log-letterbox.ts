import type { Command } from '#core/effects.js';
import { Fault } from '#core/faults.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog } from '#ports/event-log.port.js';
import type { Ids } from '#ports/ids.port.js';
import { Letterbox, type Addressed, type Answer, type Answers } from '#ports/letterbox.port.js';
import { recordOfCommand } from '#ports/records.js';
import type { Wire } from '#ports/wire.port.js';

const ANSWER_MS = 15_000;

/** The letterbox on the log. Who asks waits here; the answer comes from a desk of this process, or over the wire from another's. */
export class LogLetterbox extends Letterbox implements Answers {
  private readonly waiting = new Map<string, (answer: Answer) => void>();
  private stop: (() => void) | undefined;

  private constructor(
    private readonly log: EventLog,
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly wire: Wire | undefined,
    /** Name of this process among those that ask. */
    private readonly me: string,
  ) {
    super();
  }

  /** @param wire absent: all desks are in this process */
  static async open(log: EventLog, clock: Clock, ids: Ids, wire?: Wire): Promise<LogLetterbox> {
    const letterbox = new LogLetterbox(log, clock, ids, wire, ids.ulid());
    letterbox.stop = await wire?.listen(channelOf(letterbox.me), (message) => {
      const { ask, answer } = JSON.parse(message) as { readonly ask: string; readonly answer: Answer };
      letterbox.waiting.get(ask)?.(answer);
    });
    return letterbox;
  }

  close(): void {
    this.stop?.();
  }

  override async post(commands: readonly Addressed[]): Promise<void> {
    if (commands.length === 0) return;
    await this.log.append(commands.map(({ key, command }) => recordOfCommand(key, command)));
  }

  override async ask(key: string, command: Command): Promise<Answer> {
    await this.wire?.reach();
    const ask = `${this.me}/${this.ids.ulid()}`;
    const answer = Promise.withResolvers<Answer>();
    // Time may be up while the command is still on its way to the log.
    answer.promise.catch(() => undefined);
    this.waiting.set(ask, answer.resolve);
    const cancel = this.clock.at(this.clock.now() + ANSWER_MS, () =>
      answer.reject(new Fault('overloaded', { key, type: command.type })),
    );
    try {
      await this.log.append([recordOfCommand(key, { ...command, ask })]);
      return await answer.promise;
    } finally {
      cancel();
      this.waiting.delete(ask);
    }
  }

  tell(ask: string, answer: Answer): void {
    const waiting = this.waiting.get(ask);
    if (waiting) return waiting(answer);
    const [who] = ask.split('/', 1);
    if (who !== undefined && who !== this.me) void this.wire?.say(channelOf(who), JSON.stringify({ ask, answer }));
  }
}

function channelOf(process: string): string {
  return `answers:${process}`;
}

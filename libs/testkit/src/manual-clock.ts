import { Clock } from '#ports/clock.port.js';

/** A clock that stands still until it is turned. Alarms ring in order of their time, each at its own instant. */
export class ManualClock extends Clock {
  private alarms: { at: number; order: number; wake: () => void }[] = [];
  private order = 0;

  constructor(private instant: number = Date.UTC(2026, 0, 1)) {
    super();
  }

  override now(): number {
    return this.instant;
  }

  override at(at: number, wake: () => void): () => void {
    const alarm = { at, order: this.order++, wake };
    this.alarms.push(alarm);
    return () => {
      this.alarms = this.alarms.filter((other) => other !== alarm);
    };
  }

  /** Whoever set the alarms is gone: none of them rings. */
  silence(): void {
    this.alarms = [];
  }

  /** The time of the next alarm. */
  next(): number | undefined {
    return this.alarms.reduce<number | undefined>(
      (first, { at }) => (first === undefined || at < first ? at : first),
      undefined,
    );
  }

  /** Turns to an instant, ringing what is due on the way; between two alarms, whatever was set off comes to rest. */
  async turnTo(instant: number): Promise<void> {
    for (;;) {
      await settle();
      const due = this.alarms
        .filter((alarm) => alarm.at <= instant)
        .sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (!due) break;
      this.alarms = this.alarms.filter((alarm) => alarm !== due);
      this.instant = Math.max(this.instant, due.at);
      due.wake();
    }
    this.instant = Math.max(this.instant, instant);
    await settle();
  }

  async turn(ms: number): Promise<void> {
    await this.turnTo(this.instant + ms);
  }
}

/** Lets pending promises and immediates run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

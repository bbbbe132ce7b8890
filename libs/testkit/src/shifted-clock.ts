import { Clock } from '#ports/clock.port.js';

interface Alarm {
  readonly at: number;
  readonly wake: () => void;
  timer?: NodeJS.Timeout;
}

const DELAY_MAX_MS = 2 ** 31 - 1;

/** The machine's clock, moved ahead by hand: what waits for a day waits no longer once a day has been added. For whole servers under test. */
export class ShiftedClock extends Clock {
  private readonly alarms = new Set<Alarm>();
  private aheadMs = 0;

  override now(): number {
    return Date.now() + this.aheadMs;
  }

  override at(at: number, wake: () => void): () => void {
    const alarm: Alarm = { at, wake };
    this.alarms.add(alarm);
    this.arm(alarm);
    return () => {
      clearTimeout(alarm.timer);
      this.alarms.delete(alarm);
    };
  }

  /** Moves the clock ahead; alarms that come due ring in order of their time. */
  shift(ms: number): void {
    this.aheadMs += ms;
    for (const alarm of [...this.alarms].sort((a, b) => a.at - b.at)) this.arm(alarm);
  }

  private arm(alarm: Alarm): void {
    clearTimeout(alarm.timer);
    const inMs = alarm.at - this.now();
    alarm.timer = setTimeout(
      () => {
        if (this.now() < alarm.at) return this.arm(alarm);
        this.alarms.delete(alarm);
        alarm.wake();
      },
      Math.min(Math.max(0, inMs), DELAY_MAX_MS),
    );
  }
}

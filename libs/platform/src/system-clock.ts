import { Clock } from '#ports/clock.port.js';

/** Longest delay that Node's timers take. */
const DELAY_MAX_MS = 2 ** 31 - 1;

/** The machine's clock. */
export class SystemClock extends Clock {
  override now(): number {
    return Date.now();
  }

  override at(at: number, wake: () => void): () => void {
    let timer: NodeJS.Timeout;
    const arm = () => {
      const ms = at - Date.now();
      if (ms <= 0) timer = setTimeout(wake, 0);
      // Node rounds down to whole milliseconds, and its clock is not Date's: look again before waking.
      else timer = setTimeout(() => (Date.now() >= at ? wake() : arm()), Math.min(ms, DELAY_MAX_MS));
    };
    arm();
    return () => clearTimeout(timer);
  }
}

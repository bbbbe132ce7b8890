import { Fault } from '#core/faults.js';
import { History } from '#ports/history.port.js';

/** History where it was switched off: every question is answered with why there is no answer. */
export class HistoryOff extends History {
  override append = off;
  override positions = off;
  override events = off;
  override event = off;
  override runs = off;
  override run = off;
  override runsById = off;
  override runsOfEvent = off;
  override transitions = off;
  override decisionsOfEvent = off;
  override empty = off;

  override close(): Promise<void> {
    return Promise.resolve();
  }
}

function off(): Promise<never> {
  const message = 'History is switched off on this server (history setting): ended runs and lists cannot be shown.';
  return Promise.reject(new Fault('history_unavailable', {}, { message }));
}

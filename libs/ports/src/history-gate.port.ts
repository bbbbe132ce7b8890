/** The channel of the wire on which is said that somebody waits for History: what has gathered for it is handed over at once. */
export const HISTORY_WANTED = 'history-wanted';

/** The way History comes to know what is on the log. */
export abstract class HistoryGate {
  /** Resolves once History reflects everything that was on the log at the time of the call. @throws history_unavailable */
  abstract caughtUp(): Promise<void>;
}

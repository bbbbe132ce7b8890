/**
 * Short messages between the processes of an installation, heard at once by those who listen, and by nobody else: a message may be lost, and
 * nothing rests on it.
 */
export abstract class Wire {
  /** @throws state_unavailable while nothing can be said or heard: whoever would wait for a word is told at once */
  reach(): Promise<void> {
    return Promise.resolve();
  }

  /** Never rejects: what cannot be said now is lost. */
  abstract say(channel: string, message: string): Promise<void>;
  /** @returns stops it */
  abstract listen(channel: string, hear: (message: string) => void): Promise<() => void>;
}

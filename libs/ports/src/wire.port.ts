/**
 * Short messages between the processes of an installation, heard at once by those who listen, and by nobody else: a message may be lost, and
 * nothing rests on it.
 */
export abstract class Wire {
  /** Never rejects: what cannot be said now is lost. */
  abstract say(channel: string, message: string): Promise<void>;
  /** @returns stops it */
  abstract listen(channel: string, hear: (message: string) => void): Promise<() => void>;
}

import { Wire } from '#ports/wire.port.js';

/** Messages within one process. */
export class MemoryWire extends Wire {
  private readonly listeners = new Map<string, Set<(message: string) => void>>();

  /** Those who listen hear it after the present call: what one of them throws is not the speaker's. */
  override say(channel: string, message: string): Promise<void> {
    for (const hear of this.listeners.get(channel) ?? []) {
      setImmediate(() => {
        if (this.listeners.get(channel)?.has(hear)) hear(message);
      });
    }
    return Promise.resolve();
  }

  override listen(channel: string, hear: (message: string) => void): Promise<() => void> {
    const listener = (message: string): void => hear(message);
    const listeners = this.listeners.get(channel) ?? new Set();
    this.listeners.set(channel, listeners.add(listener));
    return Promise.resolve(() => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.listeners.get(channel) === listeners) this.listeners.delete(channel);
    });
  }
}

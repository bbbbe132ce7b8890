import type { Redis } from 'ioredis';
import { Wire } from '#ports/wire.port.js';
import type { RedisConnection } from './redis-connection.js';

type Hear = (message: string) => void;

interface Listener {
  readonly hear: Hear;
  /** What was said before it listened, and is still on its way, is not for it. */
  isListening: boolean;
}

/** Messages through Redis. Who listens has a connection for it, made with the first listener. */
export class RedisWire extends Wire {
  private readonly listeners = new Map<string, Set<Listener>>();
  private subscriber: Redis | undefined;

  /** The connection stays open when the wire is closed. */
  constructor(private readonly connection: RedisConnection) {
    super();
  }

  override reach(): Promise<void> {
    return this.connection.use(() => Promise.resolve());
  }

  override async say(channel: string, message: string): Promise<void> {
    await this.connection.use(({ client }) => client.publish(this.name(channel), message)).then(nothing, nothing);
  }

  /** Resolves when it hears, or, while there is no connection, at once: it hears when there is one again. */
  override async listen(channel: string, hear: Hear): Promise<() => void> {
    const name = this.name(channel);
    const listener: Listener = { hear, isListening: false };
    this.listeners.set(name, (this.listeners.get(name) ?? new Set()).add(listener));
    await this.subscribe(name);
    listener.isListening = true;
    return () => {
      const listeners = this.listeners.get(name);
      if (!listeners?.delete(listener) || listeners.size > 0) return;
      this.listeners.delete(name);
      // Without a connection there is nothing to be taken back.
      this.subscriber?.unsubscribe(name).catch(nothing);
    };
  }

  /** Hears nothing more. */
  close(): void {
    this.listeners.clear();
    this.subscriber?.disconnect();
    this.subscriber = undefined;
  }

  private name(channel: string): string {
    return `${this.connection.prefix}wire:${channel}`;
  }

  private async subscribe(name: string): Promise<void> {
    const subscriber = (this.subscriber ??= this.connect());
    if (subscriber.status !== 'ready') await readyOrNot(subscriber);
    // While there is no connection this fails; with the next one everything is subscribed to.
    if (subscriber.status === 'ready') await subscriber.subscribe(name).then(nothing, nothing);
  }

  private connect(): Redis {
    const subscriber = this.connection.duplicate();
    // Told by the state that it leaves; without a listener it would end the process.
    subscriber.on('error', nothing);
    subscriber.on('ready', () => {
      const names = [...this.listeners.keys()];
      if (names.length > 0) subscriber.subscribe(...names).then(nothing, nothing);
    });
    subscriber.on('message', (name, message) => {
      for (const { hear, isListening } of [...(this.listeners.get(name) ?? [])]) if (isListening) hear(message);
    });
    return subscriber;
  }
}

/** Resolves with the connection, or with the failure to make one. */
function readyOrNot(subscriber: Redis): Promise<void> {
  return new Promise((resolve) => {
    const told = (): void => {
      subscriber.off('ready', told).off('close', told);
      resolve();
    };
    subscriber.on('ready', told).on('close', told);
  });
}

function nothing(): void {}

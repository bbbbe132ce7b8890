import type { Redis } from 'ioredis';
import type { Lease } from '#core/flow/flow.work.js';
import type { Clock } from '#ports/clock.port.js';
import type { Ids } from '#ports/ids.port.js';
import type { RedisConnection } from '../redis-connection.js';

/** How many items one call hands out. */
const CLAIM_MAX = 50;
/** How many are told to be given back at once. */
const UNCLAIMED_MAX = 200;
/** When a call has failed, and not for want of a connection. */
const RETRY_MS = 500;

/** What the script answers to who claims. */
interface Claimed {
  readonly leases: readonly Lease[];
  /** When something happens next. */
  readonly at?: number;
  /** There is more to do before it is known that nothing may go. */
  readonly more: boolean;
  /** Something of an older generation is to be taken away. */
  readonly old: boolean;
}

/**
 * Those of this process who wait for an item. One of them asks for all, once; then they sleep until somebody says that something may go, or
 * until it is time, or until the connection is there again: while they sleep, the queue knows that they do.
 */
export class QueueClaimers {
  /** The longest waiting first. */
  private readonly waiting = new Set<(lease: Lease) => void>();
  /** Tokens of what was handed out here and has nobody to take it. */
  private unclaimed: string[] = [];
  private readonly process: string;
  private readonly stopListening: () => void;
  private alarm: { readonly at: number; readonly cancel: () => void } | undefined;
  private woken = false;
  private serving: Promise<void> | undefined;
  /** Settled once it has listened for the first time. */
  private readonly listening = Promise.withResolvers<void>();
  private cleaning = false;
  private closed = false;

  constructor(
    connection: RedisConnection,
    private readonly subscriber: Redis,
    private readonly key: string,
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly run: (operation: string, ...args: readonly string[]) => Promise<unknown>,
  ) {
    this.process = ids.ulid();
    this.stopListening = connection.onConnect(() => this.wake());
    this.listen();
  }

  claim(signal: AbortSignal): Promise<Lease | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const give = (lease: Lease) => {
        signal.removeEventListener('abort', stop);
        resolve(lease);
      };
      const stop = () => {
        this.waiting.delete(give);
        resolve(undefined);
      };
      this.waiting.add(give);
      signal.addEventListener('abort', stop, { once: true });
      this.wake();
    });
  }

  /** Resolves once it listens, and nothing is being asked: those who wait sleep. */
  async rest(): Promise<void> {
    await this.listening.promise;
    while (this.serving) await this.serving;
  }

  /** What is being handed out meanwhile goes to others. */
  async close(): Promise<void> {
    this.closed = true;
    this.stopListening();
    this.alarm?.cancel();
    await this.serving;
    this.waiting.clear();
    if (this.unclaimed.length > 0) await this.ask();
  }

  /** What was said while nobody listened is made up for by asking. */
  private listen(): void {
    const { subscriber, key } = this;
    subscriber.on('error', () => undefined);
    subscriber.on('ready', () => {
      subscriber.subscribe(key, `${key}:${this.process}`).then(
        () => {
          this.listening.resolve();
          this.wake();
        },
        () => subscriber.disconnect(true),
      );
    });
    subscriber.on('message', (_channel: string, message: string) => {
      const at = Number(message);
      if (Number.isNaN(at)) this.wake();
      else this.arm(at);
    });
  }

  private wake(): void {
    this.woken = true;
    if (!this.closed) this.serving ??= this.serve();
  }

  private async serve(): Promise<void> {
    // Who is woken in the same breath is asked for together.
    await Promise.resolve();
    while (this.woken && !this.closed) {
      this.woken = false;
      await this.ask();
    }
    // In the same breath as the last look: whoever is woken from now on is served anew.
    this.serving = undefined;
  }

  /** Also when nobody waits: one who has been told and has no use for it lets the next be told. */
  private async ask(): Promise<void> {
    const count = Math.min(this.waiting.size, CLAIM_MAX);
    const name = this.ids.ulid();
    const tokens = Array.from({ length: count }, (_, n) => `${name}:${n}`);
    const { unclaimed } = this;
    this.unclaimed = [];
    let claimed: Claimed;
    try {
      claimed = (await this.run('claim', this.process, String(count), name, ...unclaimed)) as Claimed;
    } catch {
      // Whether it was handed out is not known: if so, it is had by others as soon as that can be said. The first to fail may have come through;
      // those that follow while there is no connection have not.
      this.unclaimed = [...unclaimed, ...tokens].slice(0, UNCLAIMED_MAX);
      return this.arm(this.clock.now() + RETRY_MS);
    }
    const { leases, at, more, old } = claimed;
    this.give(leases);
    if (more || leases.length === CLAIM_MAX || this.unclaimed.length > 0) this.woken = true;
    if (at !== undefined) this.arm(at);
    if (old) void this.clean();
  }

  private give(leases: readonly Lease[]): void {
    for (const lease of leases) {
      const [give] = this.waiting;
      if (give) {
        this.waiting.delete(give);
        give(lease);
      } else {
        this.unclaimed.push(lease.token);
      }
    }
  }

  /** An alarm that has become too early is left: it sets the next. */
  private arm(at: number): void {
    if (this.closed || this.waiting.size === 0 || (this.alarm && this.alarm.at <= at)) return;
    this.alarm?.cancel();
    const ring = () => {
      this.alarm = undefined;
      if (this.waiting.size > 0) this.wake();
    };
    this.alarm = { at, cancel: this.clock.at(at, ring) };
  }

  /** Takes away what is kept of older generations, bit by bit. What is left after a failure is for later. */
  private async clean(): Promise<void> {
    if (this.cleaning) return;
    this.cleaning = true;
    try {
      while (!this.closed && ((await this.run('clean')) as number) > 0);
    } catch {
      // Told again with the next claim.
    }
    this.cleaning = false;
  }
}

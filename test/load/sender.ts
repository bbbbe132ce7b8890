import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { now } from './clock.ts';

export interface BenchEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>> & { readonly n: number };
}

/** Sends events over kept connections; what is not acknowledged is an error, for every effect is counted. */
export class Sender {
  private readonly pool: Pool;

  constructor(serverUrl: string, connections = 8) {
    this.pool = new Pool(serverUrl, { connections, pipelining: 1 });
  }

  /** @returns the internal ids; the request has been acknowledged */
  async send(events: BenchEvent | readonly BenchEvent[]): Promise<readonly string[]> {
    const { statusCode, body } = await this.pool.request({
      method: 'POST',
      path: '/e/bench',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(events),
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`an event was refused: ${statusCode} ${text}`);
    return (JSON.parse(text) as { readonly ids: readonly string[] }).ids;
  }

  async get<T>(path: string): Promise<T> {
    const { statusCode, body } = await this.pool.request({ method: 'GET', path });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`${path}: ${statusCode} ${text}`);
    return (JSON.parse(text) as { readonly data: T }).data;
  }

  async close(): Promise<void> {
    await this.pool.destroy();
  }
}

/** Sends one event after the other, so many a second, however long they take. */
export class OpenLoop {
  private readonly sending: Promise<void>;
  private stopped = false;
  /** When each was sent. */
  readonly sentAt = new Map<number, number>();
  /** What the acknowledgements said, by internal id of the event. */
  readonly numbers = new Map<string, number>();

  constructor(sender: Sender, perS: number, nextEvent: () => BenchEvent) {
    this.sending = this.send(sender, perS, nextEvent);
    this.sending.catch(() => undefined); // Told by `stop`.
  }

  /** Resolves when all is acknowledged. @throws what went wrong first, with which it stopped by itself */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.sending;
  }

  private async send(sender: Sender, perS: number, nextEvent: () => BenchEvent): Promise<void> {
    const requests: Promise<void>[] = [];
    const from = now();
    for (let i = 0; !this.stopped; i++) {
      await sleep(Math.max(0, from + (i * 1_000) / perS - now()));
      const event = nextEvent();
      const { n } = event.data;
      this.sentAt.set(n, now());
      const request = sender.send(event).then((ids) => void ids.map((id) => this.numbers.set(id, n)));
      request.catch(() => (this.stopped = true));
      requests.push(request);
    }
    await Promise.all(requests);
  }
}

export function eventsOf(name: string, numbers: readonly number[]): readonly BenchEvent[] {
  return numbers.map((n) => ({ name, data: { n } }));
}

export function chunked<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}

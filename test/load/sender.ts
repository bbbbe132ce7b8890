import { Pool } from 'undici';

export interface BenchEvent {
  readonly name: string;
  readonly data: { readonly n: number; readonly key?: string };
}

/** Sends events over kept connections; what is not acknowledged is an error, for every effect is counted. */
export class Sender {
  private readonly pool: Pool;

  constructor(serverUrl: string) {
    this.pool = new Pool(serverUrl, { connections: 8, pipelining: 1 });
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

export function eventsOf(name: string, numbers: readonly number[]): readonly BenchEvent[] {
  return numbers.map((n) => ({ name, data: { n } }));
}

export function chunked<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}

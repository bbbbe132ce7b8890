import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { RunView } from '../harness/api.client.js';
import { until } from '../harness/until.js';
import { causeOf, endOf, ofType, type Story } from './log.stories.js';

/** Orders that are sent at once. */
const BURST = 12;

interface Sent {
  readonly n: number;
  readonly internalId: string;
  cancelled: boolean;
}

type ActiveRun = Pick<RunView, 'run_id' | 'function_slug' | 'status' | 'event_id'>;

const NOBODY: ActiveRun = { run_id: '', function_slug: '', status: 'Running', event_id: '' };

/** What a step of the app comes to: another token each time that its body runs, and the tokens of the results that it was made of. */
interface Result {
  readonly n: number;
  readonly step: string;
  readonly of: readonly string[];
  readonly token: string;
}

/** A small generator with a seed, so that a failure can be played again. */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** By name, what the steps of a run came to: the function must have been told this, and nothing else. */
function recorded(story: Story): Record<string, Result> {
  const steps = ofType(story, 'StepCompleted').filter(({ kind }) => kind === 'run' || kind === 'invoke');
  return Object.fromEntries(steps.map(({ name, memo }) => [name, (JSON.parse(memo) as { data: Result }).data]));
}

/** Orders for the app of `app.mjs`: sent until they are acknowledged, told or cancelled later, and in the end compared with what is on the log. */
export class Orders {
  private readonly sent: Sent[] = [];
  private next = 0;

  /** @param url of the server */
  constructor(private readonly url: () => string) {}

  get count(): number {
    return this.sent.length;
  }

  /** A round of new orders; what an earlier round began is told, or cancelled. Resolves when all of it is acknowledged. */
  async round(): Promise<void> {
    const numbers = Array.from({ length: BURST }, () => this.next++);
    const { next } = this;
    const listeners = this.sent.filter(({ n }) => n < next - 2 * BURST && n >= next - 4 * BURST);
    await Promise.all([
      ...numbers.map(async (n) => {
        const name = n % 3 === 0 ? 'chaos/calls' : 'chaos/work';
        const internalId = await this.send(name, n, n % 2 === 0 ? `work-${n}` : undefined);
        this.sent.push({ n, internalId, cancelled: false });
      }),
      ...listeners.map(async (order) => {
        if (order.n % 7 === 0) {
          order.cancelled = true;
          await this.send('chaos/cancel', order.n, `cancel-${order.n}`);
        } else await this.send('chaos/tell', order.n, `tell-${order.n}`);
      }),
    ]);
  }

  /**
   * Who was told before it waited is told again, until every run has ended.
   * @param withinMs the longest wait for one more to end
   */
  async finish(withinMs: number): Promise<void> {
    const { next } = this;
    for (const { n } of this.sent.filter((order) => order.n >= next - 3 * BURST))
      await this.send('chaos/tell', n, `tell-again-${n}`);
    const byEvent = new Map(this.sent.map((order) => [order.internalId, order]));
    for (let left = await this.active(); left.length > 0;) {
      const before = JSON.stringify(left);
      left = await until(
        async () => {
          const active = await this.active();
          const waiting = active.flatMap(({ event_id }) => byEvent.get(event_id) ?? []);
          await Promise.all(waiting.map(({ n }) => this.send('chaos/tell', n)));
          const now = JSON.stringify(active);
          return now === before ? undefined : active;
        },
        { what: `one more run to end of ${before}`, withinMs, everyMs: 250 },
      );
    }
  }

  /** @param executed by `<n>/<step>`, how often its body ran */
  judge(stories: readonly Story[], executed: ReadonlyMap<string, number>): void {
    const startedBy = Map.groupBy(stories, causeOf);
    const childrenOf = Map.groupBy(stories, (story) => ofType(story, 'RunScheduled')[0]?.parents.at(-1)?.runId);
    for (const order of this.sent) {
      const runs = startedBy.get(order.internalId) ?? [];
      expect(runs, `event ${order.n} has one run`).toHaveLength(1);
      const [story] = runs as [Story];
      const end = endOf(story);
      expect(order.cancelled ? ['RunCancelled', 'RunCompleted'] : ['RunCompleted'], `order ${order.n}`).toContain(
        end.type,
      );
      if (end.type !== 'RunCompleted') continue;

      const results = recorded(story);
      expect(JSON.parse(end.output), `the outcome of ${order.n} is made of what is recorded`).toEqual({
        told: order.n,
        results,
      });
      const tokens = (...steps: string[]) => steps.map((step) => results[step]?.token);
      expect(results, `the steps of ${order.n} are made of what is recorded`).toMatchObject({
        first: { n: order.n, step: 'first', of: [] },
        second: { n: order.n, step: 'second', of: tokens('first') },
        left: { n: order.n, step: 'left', of: tokens('second') },
        right: { n: order.n, step: 'right', of: tokens('second') },
        child: { n: order.n, step: 'only', of: [] },
        join: { n: order.n, step: 'join', of: tokens('left', 'right', 'child') },
        last: { n: order.n, step: 'last', of: tokens('join') },
      });
      const children = childrenOf.get(story.runId) ?? [];
      expect(children, `${order.n} invoked one run`).toHaveLength(1);
      const [small] = children as [Story];
      const smallEnd = endOf(small);
      expect(recorded(small), `what ${order.n} invoked`).toEqual({ only: results['child'] });
      expect(smallEnd.type === 'RunCompleted' && JSON.parse(smallEnd.output)).toEqual(results['child']);
      for (const step of ['first', 'second', 'left', 'right', 'join', 'last', 'only']) {
        expect(executed.get(`${order.n}/${step}`), `${order.n}/${step}`).toBeGreaterThan(0);
      }
    }
  }

  /** Sends until it is acknowledged: with an id of our own or with a seed, as SDKs do. */
  private async send(name: string, n: number, id?: string): Promise<string> {
    const seed = `${Date.now()},${randomBytes(10).toString('base64')}`;
    return until(
      async () => {
        const body = await answerOf<{ ids: string[] }>(`${this.url()}/e/key`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-inngest-event-id-seed': seed },
          body: JSON.stringify({ name, data: { n }, ...(id === undefined ? {} : { id }) }),
        });
        return body?.ids[0];
      },
      { what: `${name} ${n} to be acknowledged`, withinMs: 120_000, everyMs: 50 },
    );
  }

  private async active(): Promise<readonly ActiveRun[]> {
    const body = await answerOf<{ data: ActiveRun[] }>(`${this.url()}/v1/runs?status=Scheduled,Running&limit=100`);
    // Who cannot be asked has not said that there are none.
    return (body?.data ?? [NOBODY]).map(({ run_id, function_slug, status, event_id }) => {
      return { run_id, function_slug, status, event_id };
    });
  }
}

/** @returns undefined where there is nobody, or he does not say yes */
async function answerOf<T>(url: string, init: RequestInit = {}): Promise<T | undefined> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) }).catch(() => undefined);
  return response?.ok ? ((await response.json()) as T) : undefined;
}

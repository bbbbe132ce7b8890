import { randomBytes } from 'node:crypto';
import type { Api } from '../harness/api.client.js';
import { until } from '../harness/until.js';

export const APP = 'limits';
export const TENANTS = ['acme', 'globex', 'initech'];

export interface SentEvent {
  readonly n: number;
  readonly tenant: string;
  readonly order: string;
  readonly internalId: string;
}

/** Events for the functions of `limits.functions.mjs`. */
export class LimitsLoad {
  readonly sent: SentEvent[] = [];
  private next = 0;

  constructor(private readonly api: () => Api) {}

  /** Resolves when all are acknowledged. */
  async burst(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.send(this.next++)));
  }

  /** Sends until it is acknowledged, as SDKs do: with one seed. */
  private async send(n: number): Promise<void> {
    const tenant = TENANTS[n % TENANTS.length] as string;
    const order = `order-${Math.floor(n / 2)}`;
    const seed = `${Date.now()},${randomBytes(10).toString('base64')}`;
    const event = { name: `${APP}/limits`, data: { n, key: tenant, order } };
    const internalId = await until(
      async () => {
        try {
          const { status, body } = await this.api().send(event, { 'x-inngest-event-id-seed': seed });
          return status === 200 ? body.ids[0] : undefined;
        } catch {
          return undefined; // The server is being killed or started: it is sent again.
        }
      },
      { what: `event ${n} to be acknowledged`, withinMs: 120_000 },
    );
    this.sent.push({ n, tenant, order, internalId });
  }
}

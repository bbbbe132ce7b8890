import { randomUUID } from 'node:crypto';
import type { Api, RunView } from '../harness/api.client.js';
import { SdkApps } from '../harness/sdk-app.process.js';
import type { Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';

const APP = 'varied';
const ORDERS = 12;
/** Takes partitions over from one that was killed, on a busy machine. */
const WITHIN_MS = 120_000;

/** An app that does something of everything, and what is asked of it. */
export class VariedLoad {
  private readonly api: Api;

  private constructor(
    private readonly server: Server,
    private readonly apps: SdkApps,
  ) {
    this.api = server.api;
  }

  static async start(server: Server): Promise<VariedLoad> {
    // Ticks once: in a minute that is soon, but not before the app is known.
    const tick = new Date(Date.now() + 80_000);
    const env = { INNGEST_DEV: server.url, DAILY_CRON: `TZ=UTC ${tick.getUTCMinutes()} ${tick.getUTCHours()} * * *` };
    const functions = ['test/cluster/varied.functions.mjs'];
    const load = new VariedLoad(server, await SdkApps.start([{ id: APP, variant: 'v4-plain', functions }], env));
    await load.apps.sync(APP);
    return load;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.apps[Symbol.asyncDispose]();
  }

  /** One that is asleep at the end stays; all others have ended when this resolves. A runner is killed while they are under way. */
  async play(): Promise<void> {
    const runs = [...this.singles(), ...Array.from({ length: ORDERS }, (_, n) => this.order(n))];
    const [asleep] = await Promise.all([this.asleep(), this.ticked(), ...runs, this.killRunner()]);
    const ended = async (): Promise<boolean> =>
      (await this.runs()).every(({ run_id, status }) => (run_id === asleep) === (status === 'Running'));
    await until(async () => (await ended()) || undefined, {
      what: 'all but the sleeping run to end',
      withinMs: WITHIN_MS,
      everyMs: 250,
    });
  }

  private async killRunner(): Promise<void> {
    const [runner] = this.server.of('runner');
    await runner?.kill();
    await runner?.start();
  }

  /** All of them: there are less than a page. */
  async runs(): Promise<readonly RunView[]> {
    const { body } = await this.api.request<{ data: readonly RunView[] }>('GET', '/v1/runs?limit=100');
    return body.data;
  }

  private singles(): readonly Promise<unknown>[] {
    const twice = ['rated', 'debounced', 'batched', 'once', 'throttled', 'keyed', 'single'];
    return [
      this.signalled(),
      this.woken(),
      this.emit('late'),
      this.emit('failing'),
      this.emit('failing', { final: true }),
      this.repeated(),
      ...twice.map((name) => this.twice(name)),
    ];
  }

  private emit(name: string, data: object = {}, id?: string): Promise<string> {
    return this.api.emit(`${APP}/varied.${name}`, data, id === undefined ? {} : { id });
  }

  private async order(n: number): Promise<void> {
    const key = randomUUID();
    const run = await this.runOf(await this.emit('order', { key, n }));
    await this.when(run, 'waiting', waitsIn('paid'));
    await this.emit('paid', { key, sum: n / 10 });
    await this.when(run, 'completed', ({ status }) => status === 'Completed');
  }

  private async signalled(): Promise<void> {
    const key = randomUUID();
    const run = await this.runOf(await this.emit('signalled', { key }));
    await this.when(run, 'waiting', waitsIn('call'));
    await this.api.request('POST', '/v1/signals', { signal: key, data: { on: true } });
    await this.when(run, 'completed', ({ status }) => status === 'Completed');
  }

  /** @returns the run */
  private async asleep(key: string = randomUUID()): Promise<string> {
    const run = await this.runOf(await this.emit('asleep', { key }));
    await this.when(run, 'started', ({ status }) => status === 'Running');
    return run;
  }

  private async woken(): Promise<void> {
    const key = randomUUID();
    const run = await this.asleep(key);
    await this.emit('wake', { key });
    await this.when(run, 'cancelled', ({ status }) => status === 'Cancelled');
  }

  /** What comes twice meets its limits. */
  private async twice(name: string): Promise<void> {
    const customer = randomUUID();
    await this.api.send([1, 2].map((n) => ({ name: `${APP}/varied.${name}`, data: { customer, n } })));
  }

  /** The same event twice starts one run, also where it has to pass a control first. */
  private async repeated(): Promise<void> {
    const id = randomUUID();
    for (let copy = 0; copy < 2; copy++) await this.emit('shipped', { key: id }, id);
    for (const customer of [randomUUID(), randomUUID()]) await this.emit('rated', { customer, n: 1 }, id);
  }

  /** The cron has ticked. */
  private async ticked(): Promise<void> {
    await until(async () => (await this.runs()).find(({ cron, status }) => cron !== null && status === 'Completed'), {
      what: 'the cron to tick',
      withinMs: WITHIN_MS,
      everyMs: 500,
    });
  }

  private runOf(eventId: string): Promise<string> {
    return until(async () => (await this.api.runsOf(eventId))[0]?.run_id, {
      what: `the run of event ${eventId}`,
      withinMs: WITHIN_MS,
      everyMs: 100,
    });
  }

  private async when(runId: string, what: string, holds: (run: RunView) => boolean): Promise<void> {
    await until(async () => holds(await this.api.run(runId)) || undefined, {
      what: `run ${runId} to be ${what}`,
      withinMs: WITHIN_MS,
      everyMs: 100,
    });
  }
}

function waitsIn(step: string): (run: RunView) => boolean {
  return ({ waiting_for: waits = [] }) => waits.some(({ name }) => name === step);
}

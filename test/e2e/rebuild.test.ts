import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import { SystemClock } from '#platform/system-clock.js';
import { millrace, type Finished } from '#testkit/millrace-process.js';
import { sharedServices } from '../harness/cluster.names.js';
import { SdkApps } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { Stage, type Story } from '../harness/stage.js';
import { until } from '../harness/until.js';

const services = sharedServices();

interface Difference {
  readonly key: string;
  readonly what: string;
}

interface Verified {
  readonly stores: readonly {
    readonly active?: number;
    readonly lag: number;
    readonly differences?: readonly Difference[];
  }[];
  readonly history: readonly {
    readonly runs: number;
    readonly lag: number;
    readonly differences: readonly Difference[];
  }[];
}

/** A server, an app of it, and the commands that look at what it keeps. */
class Place {
  private constructor(
    readonly server: Server,
    readonly apps: SdkApps,
    readonly stage: Stage,
  ) {}

  static async open(env: Readonly<Record<string, string>> = {}): Promise<Place> {
    const server = await Server.start({ env });
    const functions = ['steps', 'waits'].map((name) => `test/e2e/functions/${name}.mjs`);
    const apps = await SdkApps.start([{ id: 'v4', variant: 'v4', functions }], { INNGEST_DEV: server.url });
    await apps.sync('v4');
    return new Place(server, apps, new Stage('v4', server.api, apps.log, 'v4'));
  }

  command(...args: readonly string[]): Promise<Finished> {
    const { stores, folder } = this.server;
    return millrace([...args, '--json', ...stores.args], { env: stores.env, cwd: folder });
  }

  async verify(): Promise<Verified & { readonly exit: Finished['exit'] }> {
    const { exit, stdout, stderr } = await this.command('verify');
    if (stdout === '') throw new Error(`verify said nothing: ${stderr}`);
    return { ...(JSON.parse(stdout) as Verified), exit };
  }

  /** Once nothing that goes on is on its way: what is behind is no difference. */
  async verifyAll(): Promise<void> {
    let seen: unknown;
    await until(
      async () => {
        const verified = await this.verify();
        seen = verified;
        expect(differences(verified)).toEqual([]);
        expect(verified.exit).toBe(0);
        return [...verified.stores, ...verified.history].every(({ lag }) => lag === 0) ? verified : undefined;
      },
      { what: () => `all to be up to date: ${JSON.stringify(seen)}` },
    );
  }

  /** Every run of these is in the list, once. */
  async listsOnce(runIds: readonly string[]): Promise<void> {
    const { body } = await this.server.api.request<{ data: { run_id: string }[] }>('GET', '/v1/runs?limit=100');
    expect(body.data.map(({ run_id }) => run_id).sort()).toEqual([...runIds].sort());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.apps[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

function differences({ stores, history }: Verified): readonly Difference[] {
  return [...stores, ...history].flatMap((it) => it.differences ?? []);
}

const idsOf = (stories: readonly Story[]): readonly string[] => stories.map(({ runId }) => runId);

describe.skipIf(!services)('what a cluster keeps besides the log', { concurrent: false }, () => {
  let place: Place;
  let redis: Redis;
  const stories: Story[] = [];
  beforeAll(async () => {
    place = await Place.open({ MILLRACE_SNAPSHOT_INTERVAL: '1' });
    redis = new Redis(services!.redisUrl);
  });
  afterAll(async () => {
    await redis.quit();
    await place[Symbol.asyncDispose]();
  });

  /** A run that waits for an event of its own. */
  const wait = async (): Promise<Story> => {
    const story = await place.stage.start('waits.wait', { match: 'data.key', held: true });
    stories.push(story);
    return story;
  };
  const goOn = async (story: Story): Promise<void> => {
    await story.open('held');
    await story.waiting('answer');
    await place.stage.emit('waits.answer', { key: story.key });
    expect(await story.ended()).toMatchObject({ status: 'Completed' });
    expect(await story.times('answered')).toBe(1);
  };

  /** The key of the states of runs that has this one. */
  const stateKeyOf = async (runId: string): Promise<string> => {
    const { env } = place.server.stores;
    const pattern = `*${env['MILLRACE_TOPIC_PREFIX']}*states:run`;
    for await (const keys of redis.scanStream({ match: pattern, count: 1_000 }) as AsyncIterable<string[]>)
      for (const key of keys) if ((await redis.hexists(key, runId)) === 1) return key;
    throw new Error(`Redis has no state of ${runId}`);
  };

  const inClickHouse = async (statement: string): Promise<void> => {
    const database = place.server.stores.args.find((arg) => arg.startsWith(services!.clickhouseUrl))!;
    const url = new URL(database);
    const [name] = url.pathname.split('/').slice(1);
    const query = new URLSearchParams({ database: name!, mutations_sync: '1' });
    const response = await fetch(`${services!.clickhouseUrl}?${query.toString()}`, { method: 'POST', body: statement });
    expect([response.status, await response.text()]).toMatchObject([200, '']);
  };

  it('is what the log says, while runs are under way and after they ended', async () => {
    stories.push(await place.stage.play('steps.run'), await place.stage.play('steps.send'));
    await wait();
    await place.verifyAll();
    const { stores } = await place.verify();
    expect(stores.length).toBe(4);
    expect(stores.reduce((sum, { active = 0 }) => sum + active, 0)).toBe(1);
  });

  it('is told of where Redis says something else, and is right again after it was rebuilt', async () => {
    const changed = stories.at(-1)!;
    const removed = await wait();
    await place.verifyAll();
    const key = await stateKeyOf(changed.runId);
    const state = JSON.parse((await redis.hget(key, changed.runId))!) as object;
    await redis.hset(key, changed.runId, JSON.stringify({ ...state, status: 'Cancelled' }));
    const other = await stateKeyOf(removed.runId);
    await redis.hdel(other, removed.runId);

    const verified = await place.verify();
    expect(verified.exit).toBe(1);
    expect(differences(verified)).toEqual(
      expect.arrayContaining([
        { key: `run/${changed.runId}`, what: 'differs' },
        { key: `run/${removed.runId}`, what: expect.stringMatching(/^(missing|differs)$/) as unknown },
      ]),
    );
    expect(differences(verified).length).toBe(2);

    const { exit, stdout, stderr } = await place.command('rebuild', 'redis');
    expect([exit, stderr]).toEqual([0, expect.stringContaining('removed')]);
    expect(JSON.parse(stdout)).toMatchObject({ rebuilt: 'redis' });
    await place.verifyAll();
    for (const story of [changed, removed]) await goOn(story);
  });

  it('is told of where history lacks a run, and is whole after it was rebuilt while runs go on', async () => {
    const [held, another] = [await wait(), await wait()];
    const lost = stories[0]!;
    await place.verifyAll();
    await inClickHouse(`ALTER TABLE runs DELETE WHERE run_id = '${lost.runId}'`);
    const verified = await place.verify();
    expect(verified.exit).toBe(1);
    expect(differences(verified)).toEqual([{ key: lost.runId, what: 'missing' }]);

    const rebuilding = place.command('rebuild', 'history');
    const goingOn = goOn(held);
    const { exit, stdout, stderr } = await rebuilding;
    expect([exit, stderr]).toEqual([0, expect.stringContaining('History is empty')]);
    const { rebuilt, partitions } = JSON.parse(stdout) as { rebuilt: string; partitions: readonly object[] };
    expect(rebuilt).toBe('history');
    expect(partitions.length).toBe(8);
    expect(partitions).toContainEqual({ topic: 'events', partition: 0, from: 0, until: expect.any(Number) as unknown });
    await goingOn;
    await goOn(another);
    await place.verifyAll();
    await listsAll();
    expect(await place.server.api.run(lost.runId)).toMatchObject({ status: 'Completed' });
  });

  it('comes back by itself where somebody emptied history by hand', async () => {
    for (const table of [
      'events',
      'runs',
      'transitions',
      'decisions',
      'positions_by_generation',
      'generations',
      'migrations',
    ])
      await inClickHouse(`TRUNCATE TABLE ${table}`);
    await place.verifyAll();
    await listsAll();
  });

  it('is told to be behind while nobody brings it on', async () => {
    const [projector] = place.server.of('projector');
    projector!.suspend();
    try {
      const story = await wait();
      const verified = await until(
        async () => {
          const now = await place.verify();
          return now.history.some(({ lag }) => lag > 0) ? now : undefined;
        },
        { what: 'history to be behind' },
      );
      expect(verified.exit).toBe(0);
      await goOn(story);
    } finally {
      projector!.resume();
    }
    await place.verifyAll();
    await listsAll();
  });

  it('is rebuilt all at once, with many runs in flight', async () => {
    const waiting = await Promise.all(Array.from({ length: 8 }, wait));
    const [redisToo, historyToo] = [
      place.command('rebuild', 'redis', '--timeout', '60'),
      place.command('rebuild', 'history', '--timeout', '60'),
    ];
    await Promise.all([...waiting.map(goOn), redisToo, historyToo]);
    for (const { exit, stderr } of [await redisToo, await historyToo]) expect(exit, stderr).toBe(0);
    await place.verifyAll();
    await listsAll();
  });

  /** Those that events sent from steps have started are of no story. */
  const listsAll = async (): Promise<void> => {
    const sent = await sentRuns();
    await place.listsOnce([...idsOf(stories), ...sent]);
  };
  const sentRuns = async (): Promise<readonly string[]> => {
    const events = await place.server.api.events('name=v4/steps.sent&limit=100');
    const runs = await Promise.all(events.map(({ internal_id }) => place.server.api.runOf(internal_id)));
    expect(runs.length).toBe(3);
    return runs.map(({ run_id }) => run_id);
  };
});

describe.skipIf(services !== undefined)('what a data folder keeps besides the log', { concurrent: false }, () => {
  let place: Place;
  let stories: Story[];
  beforeAll(async () => {
    place = await Place.open();
    stories = [await place.stage.play('steps.run'), await place.stage.start('waits.wait', { match: 'data.key' })];
    await stories[1]!.waiting('answer');
    await place.listsOnce(idsOf(stories));
  });
  afterAll(() => place[Symbol.asyncDispose]());

  it.each(['verify', 'rebuild history'])('is not looked at while a server uses it: %s', async (command) => {
    const { exit, stderr } = await place.command(...command.split(' '));
    expect(exit).toBe(1);
    const next = expect.stringContaining('Stop the server') as unknown;
    expect(JSON.parse(stderr)).toMatchObject({ code: 'data_dir_in_use', next });
  });

  it('is what the log says once it stopped, and history is made anew there', async () => {
    expect(await place.server.stop()).toBe(0);
    await place.verifyAll();
    const redis = await place.command('rebuild', 'redis');
    expect([redis.exit, redis.stderr]).toEqual([2, expect.stringContaining('There is no Redis')]);

    const { exit, stdout, stderr } = await place.command('rebuild', 'history');
    expect([exit, stderr]).toEqual([0, expect.stringContaining('History is empty')]);
    expect(JSON.parse(stdout)).toMatchObject({
      rebuilt: 'history',
      partitions: [
        { topic: 'events', partition: 0, from: 0 },
        { topic: 'transitions', partition: 0, from: 0 },
      ],
    });
    await place.verifyAll();
    const { history } = await place.verify();
    expect(history.map(({ runs }) => runs)).toEqual([2]);

    await place.server.start();
    await place.listsOnce(idsOf(stories));
    await place.stage.emit('waits.answer', { key: stories[1]!.key });
    expect(await stories[1]!.ended()).toMatchObject({ status: 'Completed' });
    await place.listsOnce(idsOf(stories));
  });

  it('is not thrown away where the log has let go of it, unless that is wanted', async () => {
    await place.server.stop();
    const dir = openDataDir(place.server.dataDir, { create: false });
    const log = LocalEventLog.open(dir, { clock: new SystemClock() });
    await log.trim('events', { partition: 0, offset: 1 });
    await log.close();
    await dir.close();

    const refused = await place.command('rebuild', 'history');
    expect(refused.exit).toBe(1);
    const why = expect.stringContaining('events 0 at 1') as unknown;
    expect(JSON.parse(refused.stderr)).toMatchObject({ code: 'history_holds_more', why });
    expect((await place.verify()).history.map(({ runs }) => runs)).toEqual([2]);

    const { exit, stdout } = await place.command('rebuild', 'history', '--yes');
    expect(exit).toBe(0);
    expect((JSON.parse(stdout) as { partitions: object[] }).partitions[0]).toMatchObject({ topic: 'events', from: 1 });
    // History does not tell that it began there: it is refused again.
    expect((await place.command('rebuild', 'history')).exit).toBe(1);
    await place.server.start();
    await place.listsOnce(idsOf(stories));
  });
});

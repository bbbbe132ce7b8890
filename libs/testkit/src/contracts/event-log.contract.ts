import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_ENV, type Position } from '#core/words.js';
import type { EventLog, LogRecord, PlacedRecord, Subscription, Topic } from '#ports/event-log.port.js';

/** A log of its own for one test. */
export interface LogUnderTest {
  readonly log: EventLog;
  /** Closes the log and opens what it has kept. */
  readonly reopen: () => Promise<EventLog>;
  /** Closes the log and takes away what it has kept. */
  readonly dispose: () => Promise<void>;
}

const AT = Date.UTC(2026, 0, 1);

function record(key: string, body: unknown, more: Partial<LogRecord> = {}): LogRecord {
  return { topic: 'commands', key, type: 'Thing', schema: 1, env: DEFAULT_ENV, at: AT, body, ...more };
}

/** What a subscriber has been given so far, and a way to wait for more. */
class Inbox {
  readonly records: PlacedRecord[] = [];
  readonly batches: number[] = [];
  private waiting: { readonly until: () => boolean; readonly tell: () => void }[] = [];

  readonly take = (batch: readonly PlacedRecord[]): void => {
    this.records.push(...batch);
    this.batches.push(batch.length);
    this.waiting = this.waiting.filter(({ until, tell }) => !until() || (tell(), false));
  };

  get bodies(): unknown[] {
    return this.records.map(({ body }) => body);
  }

  has(count: number): Promise<void> {
    return this.meets(() => this.records.length >= count);
  }

  meets(until: () => boolean): Promise<void> {
    return until() ? Promise.resolve() : new Promise((tell) => this.waiting.push({ until, tell }));
  }
}

async function all(log: EventLog, topic: Topic): Promise<PlacedRecord[]> {
  const inbox = new Inbox();
  const ends = await log.ends(topic);
  for (const end of ends) {
    for (let from: Position = { partition: end.partition, offset: 0 }; ;) {
      const page = await log.read(topic, from, 100);
      inbox.take(page);
      const last = page.at(-1);
      if (!last) break;
      from = { partition: end.partition, offset: last.position.offset + 1 };
    }
  }
  return inbox.records;
}

const after = ({ partition, offset }: Position): Position => ({ partition, offset: offset + 1 });

/** The promises of `EventLog`, held against an adapter. Keys are told apart by partition nowhere, so any number of partitions will do. */
export function eventLogContract(name: string, open: () => Promise<LogUnderTest>): void {
  describe(`${name} keeps the promises of EventLog`, () => {
    const opened: LogUnderTest[] = [];
    const fresh = async (): Promise<LogUnderTest> => {
      const log = await open();
      opened.push(log);
      return log;
    };
    afterEach(async () => {
      for (const log of opened.splice(0)) await log.dispose();
    });

    describe('append', () => {
      it('gives positions in the order of the records, which rise', async () => {
        const { log } = await fresh();
        const first = await log.append([record('a', 1), record('a', 2), record('a', 3)]);
        const second = await log.append([record('a', 4)]);
        const offsets = [...first, ...second].map(({ offset }) => offset);
        expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
        expect(offsets).toHaveLength(4);
        const read = await all(log, 'commands');
        expect(read.map(({ position }) => position)).toEqual([...first, ...second]);
      });

      it('takes no records, to no effect', async () => {
        const { log } = await fresh();
        const before = await log.ends('commands');
        expect(await log.append([])).toEqual([]);
        expect(await log.ends('commands')).toEqual(before);
      });

      it('gives every record back as it was, now and after a restart', async () => {
        const { log, reopen } = await fresh();
        const records: LogRecord[] = [
          record('plain', { a: [1, 'zwei', null, true, { b: 0.5 }] }),
          record('text', 'naïve 🌍 \u0000 \ud800 "quoted"'),
          record('nothing', null),
          record('zero', 0),
          record('empty', ''),
          record('forget', undefined),
          record('traced', {}, { trace: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }),
          record('other', {}, { type: 'Other', schema: 7, env: 'another', at: AT + 1 }),
          record('ключ', {}),
        ];
        const positions = await log.append(records);
        const expected = records.map((one, index) => ({ ...one, position: positions[index] }));
        const byKey = (list: readonly PlacedRecord[]) => new Map(list.map((one) => [one.key, one]));
        expect(byKey(await all(log, 'commands'))).toEqual(new Map(expected.map((one) => [one.key, one])));
        expect(byKey(await all(await reopen(), 'commands'))).toEqual(new Map(expected.map((one) => [one.key, one])));
      });

      it('takes records of several topics at once, each with the positions of its own', async () => {
        const { log } = await fresh();
        const topics: Topic[] = ['events', 'commands', 'transitions', 'snapshots', 'config', 'dead-letters'];
        const positions = await log.append(topics.map((topic, index) => record(`k${index}`, index, { topic })));
        for (const [index, topic] of topics.entries()) {
          expect(await all(log, topic)).toEqual([
            { ...record(`k${index}`, index, { topic }), position: positions[index] },
          ]);
        }
      });

      it('keeps appends of one turn whole and in the order of their calls', async () => {
        const { log } = await fresh();
        const appends = Array.from({ length: 50 }, (_, i) => log.append([record('a', [i, 0]), record('a', [i, 1])]));
        const positions = (await Promise.all(appends)).flat();
        const read = await all(log, 'commands');
        expect(read.map(({ body }) => body)).toEqual(Array.from({ length: 100 }, (_, i) => [i >> 1, i & 1]));
        expect(read.map(({ position }) => position)).toEqual(positions);
      });

      it('takes what says that records are in behind them, with the positions of all in order', async () => {
        const { log } = await fresh();
        const things = ['a', 'b', 'c', 'd'].map((key, n) => record(key, n));
        const told = ['a', 'b'].map((key, n) => record(key, n, { topic: 'transitions' }));
        const positions = await log.append(things, told);
        expect(positions).toHaveLength(6);
        const read = [...(await all(log, 'commands')), ...(await all(log, 'transitions'))];
        for (const [index, one] of [...things, ...told].entries())
          expect(read).toContainEqual({ ...one, position: positions[index] });
        expect(await log.append([], [record('a', 2, { topic: 'transitions' })])).toHaveLength(1);

        const wrong = { ...record('a', 3, { topic: 'transitions' }), key: undefined } as unknown as LogRecord;
        const before = await log.ends('commands');
        await expect(log.append([record('a', 'never')], [wrong])).rejects.toBeInstanceOf(TypeError);
        expect(await log.ends('commands')).toEqual(before);
      });

      it('puts a record where its key goes, or where it is told to', async () => {
        const { log } = await fresh();
        const count = (await log.ends('commands')).length;
        const keys = Array.from({ length: 20 }, (_, n) => `key ${n}`);
        const byKey = await log.append(keys.map((key) => record(key, key)));
        expect(byKey.map(({ partition }) => partition)).toEqual(keys.map((key) => log.partitionOf('commands', key)));
        for (let partition = 0; partition < count; partition++) {
          const [position] = await log.append([record('somewhere', partition, { partition })]);
          expect(position?.partition).toBe(partition);
          const [found] = await log.read('commands', position as Position, 1);
          expect(found).toEqual({ ...record('somewhere', partition), position });
        }
        for (const partition of [count, -1, 0.5])
          await expect(log.append([record('somewhere', 1, { partition })])).rejects.toBeInstanceOf(TypeError);
      });

      it('refuses what is no record, and only that', async () => {
        const { log } = await fresh();
        const cyclic: Record<string, unknown> = {};
        cyclic['self'] = cyclic;
        const wrong: unknown[] = [
          record('a', cyclic),
          record('a', () => 1),
          record('a', 1n),
          record('a', 1, { at: Number.NaN }),
          { ...record('a', 1), key: undefined },
          { ...record('a', 1), topic: 'nowhere' },
        ];
        const answers = await Promise.allSettled([
          log.append([record('a', 'before')]),
          ...wrong.map((one) => log.append([record('a', 'never'), one as LogRecord])),
          log.append([record('a', 'behind')]),
        ]);
        expect(answers.map(({ status }) => status)).toEqual(['fulfilled', ...wrong.map(() => 'rejected'), 'fulfilled']);
        for (const answer of answers) if (answer.status === 'rejected') expect(answer.reason).toBeInstanceOf(TypeError);
        expect((await all(log, 'commands')).map(({ body }) => body)).toEqual(['before', 'behind']);
      });

      it('is refused once the log is closed', async () => {
        const { log } = await fresh();
        const pending = log.append([record('a', 1)]);
        await log.close();
        await expect(pending).resolves.toHaveLength(1);
        await expect(log.append([record('a', 2)])).rejects.toMatchObject({ code: 'log_unavailable' });
      });
    });

    describe('read', () => {
      it('gives pages from a position on, and an empty one at the end', async () => {
        const { log } = await fresh();
        const positions = await log.append([1, 2, 3, 4, 5].map((n) => record('a', n)));
        const [first, second] = positions as [Position, Position];
        const page = await log.read('commands', second, 3);
        expect(page.map(({ body }) => body)).toEqual([2, 3, 4]);
        const oldest = { ...first, offset: 0 };
        expect((await log.read('commands', oldest, 2)).map(({ body }) => body)).toEqual([1, 2]);
        expect(await log.read('commands', after(positions[4] as Position), 3)).toEqual([]);
      });
    });

    describe('subscribe', () => {
      it('hands over what there is and then what comes, in order', async () => {
        const { log } = await fresh();
        await log.append([record('a', 1), record('a', 2)]);
        const inbox = new Inbox();
        await log.subscribe('commands', undefined, inbox.take);
        await inbox.has(2);
        await log.append([record('a', 3)]);
        await log.append([record('a', 4), record('a', 5)]);
        await inbox.has(5);
        expect(inbox.bodies).toEqual([1, 2, 3, 4, 5]);
        expect(inbox.records).toEqual(await all(log, 'commands'));
      });

      it('begins at a position, that one included, or at the end', async () => {
        const { log } = await fresh();
        const positions = await log.append([1, 2, 3].map((n) => record('a', n)));
        const [middle, end] = [new Inbox(), new Inbox()];
        await log.subscribe('commands', [positions[1] as Position], middle.take);
        await log.subscribe('commands', [after(positions[2] as Position)], end.take);
        await log.append([record('a', 4)]);
        await Promise.all([middle.has(3), end.has(1)]);
        expect(middle.bodies).toEqual([2, 3, 4]);
        expect(end.bodies).toEqual([4]);
      });

      it('hands over the records of the partitions that are named, each from its own position', async () => {
        const { log } = await fresh();
        const count = (await log.ends('commands')).length;
        const rounds = [0, 1, 2, 3];
        const positions: (readonly Position[])[] = [];
        for (const round of rounds) {
          const records = Array.from({ length: count }, (_, partition) => record('a', round, { partition }));
          positions.push(await log.append(records));
        }
        const from = Array.from({ length: count }, (_, partition) => partition)
          .filter((partition) => partition % 2 === 0)
          .map((partition) => positions[partition % 3]?.[partition] as Position);
        const expected = from.flatMap(({ partition }) =>
          rounds.slice(partition % 3).map((round) => [partition, round]),
        );
        const [some, every] = [new Inbox(), new Inbox()];
        await log.subscribe('commands', from, some.take);
        await log.subscribe('commands', undefined, every.take);
        await Promise.all([some.has(expected.length), every.has(count * rounds.length)]);
        const last = from.at(-1) as Position;
        await log.append([record('a', 'last', { partition: last.partition })]);
        await Promise.all([some.has(expected.length + 1), every.has(count * rounds.length + 1)]);
        const placed = ({ records }: Inbox) => records.map(({ position, body }) => [position.partition, body]);
        const inOrder = (list: unknown[][]) => list.toSorted((a, b) => Number(a[0]) - Number(b[0]));
        expect(inOrder(placed(some))).toEqual([...expected, [last.partition, 'last']]);
        expect(every.records).toHaveLength(count * rounds.length + 1);
        const none = new Inbox();
        await log.subscribe('commands', [], none.take);
        await log.append([record('a', 'nobody hears of it')]);
        await every.has(count * rounds.length + 2);
        expect(none.records).toEqual([]);
      });

      it('refuses a position behind the end', async () => {
        const { log } = await fresh();
        const [position] = await log.append([record('a', 1)]);
        const beyond = after(after(position as Position));
        await expect(log.subscribe('commands', [beyond], () => undefined)).rejects.toMatchObject({
          code: 'position_unknown',
        });
        const nowhere = { partition: (await log.ends('commands')).length, offset: 0 };
        await expect(log.subscribe('commands', [nowhere], () => undefined)).rejects.toMatchObject({
          code: 'position_unknown',
        });
      });

      it('hands over no more than asked for at once', async () => {
        const { log } = await fresh();
        await log.append(Array.from({ length: 25 }, (_, n) => record('a', n)));
        const inbox = new Inbox();
        await log.subscribe('commands', undefined, inbox.take, { batchMax: 10 });
        await inbox.has(25);
        await log.append(Array.from({ length: 25 }, (_, n) => record('a', 25 + n)));
        await inbox.has(50);
        expect(Math.max(...inbox.batches)).toBeLessThanOrEqual(10);
        expect(inbox.bodies).toEqual(Array.from({ length: 50 }, (_, n) => n));
      });

      it('waits for the handler before it hands over the next batch', async () => {
        const { log } = await fresh();
        const inbox = new Inbox();
        let running = 0;
        let most = 0;
        await log.subscribe(
          'commands',
          undefined,
          async (batch) => {
            most = Math.max(most, ++running);
            await log.append(batch.map(({ body }) => record('echo', body, { topic: 'transitions' })));
            running--;
            inbox.take(batch);
          },
          { batchMax: 3 },
        );
        await Promise.all(Array.from({ length: 40 }, (_, n) => log.append([record('a', n)])));
        await inbox.has(40);
        expect(most).toBe(1);
        expect(inbox.bodies).toEqual(Array.from({ length: 40 }, (_, n) => n));
        expect((await all(log, 'transitions')).map(({ body }) => body)).toEqual(inbox.bodies);
      });

      it('hands the same batch again after an error that is taken', async () => {
        const { log } = await fresh();
        await log.append([1, 2, 3, 4, 5].map((n) => record('a', n)));
        const inbox = new Inbox();
        const tried: unknown[][] = [];
        const errors: unknown[] = [];
        let failures = 3;
        await log.subscribe(
          'commands',
          undefined,
          (batch) => {
            const bodies = batch.map(({ body }) => body);
            tried.push(bodies);
            if (bodies.includes(3) && failures-- > 0) throw new Error('not yet');
            inbox.take(batch);
          },
          {
            batchMax: 2,
            onError: (error, batch) => {
              errors.push([(error as Error).message, batch.map(({ body }) => body)]);
              return Promise.resolve();
            },
          },
        );
        await inbox.has(5);
        expect(inbox.bodies).toEqual([1, 2, 3, 4, 5]);
        const failing = tried.find((bodies) => bodies.includes(3));
        expect(tried.filter((bodies) => bodies.includes(3))).toEqual([failing, failing, failing, failing]);
        expect(errors).toEqual([0, 1, 2].map(() => ['not yet', failing]));
      });

      it('ends with the error that nobody takes, and says so', async () => {
        const { log } = await fresh();
        let calls = 0;
        const subscription = await log.subscribe('commands', undefined, () => {
          calls++;
          throw new Error('broken handler');
        });
        const ended = expect(subscription.ended).rejects.toThrow('broken handler');
        await log.append([record('a', 1)]);
        await ended;
        await expect(subscription.close()).rejects.toThrow('broken handler');
        await log.append([record('a', 2)]);
        expect(calls).toBe(1);
      });

      it('ends with what onError throws', async () => {
        const { log } = await fresh();
        await log.append([record('a', 1)]);
        const subscription = await log.subscribe(
          'commands',
          undefined,
          () => Promise.reject(new Error('broken handler')),
          { onError: () => Promise.reject(new Error('given up')) },
        );
        await expect(subscription.ended).rejects.toThrow('given up');
      });

      it('is at rest once it is closed', async () => {
        const { log } = await fresh();
        const entered = Promise.withResolvers<void>();
        const release = Promise.withResolvers<void>();
        const seen: unknown[] = [];
        const subscription: Subscription = await log.subscribe(
          'commands',
          undefined,
          async (batch) => {
            entered.resolve();
            await release.promise;
            seen.push(...batch.map(({ body }) => body));
          },
          { batchMax: 1 },
        );
        await log.append([record('a', 1), record('a', 2)]);
        await entered.promise;
        let closed = false;
        const closing = subscription.close().then(() => (closed = true));
        await log.append([record('a', 3)]);
        expect(closed).toBe(false);
        release.resolve();
        await closing;
        await subscription.ended;
        await log.append([record('a', 4)]);
        expect(seen).toEqual([1]);
      });

      it('comes to rest, and lets its handler append, when the log is closed', async () => {
        const { log, reopen } = await fresh();
        const entered = Promise.withResolvers<void>();
        const release = Promise.withResolvers<void>();
        await log.subscribe('commands', undefined, async () => {
          entered.resolve();
          await release.promise;
          await log.append([record('b', 'last words', { topic: 'transitions' })]);
        });
        await log.append([record('a', 1)]);
        await entered.promise;
        const closing = log.close();
        release.resolve();
        await closing;
        expect((await all(await reopen(), 'transitions')).map(({ body }) => body)).toEqual(['last words']);
      });

      it('gives every subscriber the same records, wherever it begins and however slow it is', async () => {
        const { log } = await fresh();
        const [first] = await log.append([record('a', -1)]);
        const appended: { position: Position; body: unknown }[] = [{ position: first as Position, body: -1 }];
        let count = 0;
        const arbitraryRun = fc.record({
          batches: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 6 }),
          subscribers: fc.array(
            fc.record({ back: fc.nat(60), batchMax: fc.integer({ min: 1, max: 20 }), turns: fc.nat(3), at: fc.nat(5) }),
            { minLength: 1, maxLength: 4 },
          ),
        });
        await fc.assert(
          fc.asyncProperty(arbitraryRun, async ({ batches, subscribers }) => {
            const open: { inbox: Inbox; from: number; subscription: Subscription }[] = [];
            for (let step = 0; step <= 5; step++) {
              for (const { back, batchMax, turns } of subscribers.filter(({ at }) => at === step)) {
                const from = Math.max(0, appended.length - 1 - back);
                const inbox = new Inbox();
                const slow = async (batch: readonly PlacedRecord[]): Promise<void> => {
                  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
                  inbox.take(batch);
                };
                const start = appended[from]?.position as Position;
                const subscription = await log.subscribe('commands', [start], slow, { batchMax });
                open.push({ inbox, from, subscription });
              }
              const bodies = Array.from({ length: batches[step] ?? 0 }, () => count++);
              const positions = await log.append(bodies.map((body) => record('a', body)));
              for (const [index, body] of bodies.entries()) {
                appended.push({ position: positions[index] as Position, body });
              }
            }
            for (const { inbox, from, subscription } of open) {
              const expected = appended.slice(from);
              await inbox.has(expected.length);
              await subscription.close();
              expect(inbox.records.map(({ position, body }) => ({ position, body }))).toEqual(expected);
            }
          }),
          { numRuns: 60 },
        );
      });
    });

    describe('trim', () => {
      it('forgets what is older, and gives no offset again', async () => {
        const { log, reopen } = await fresh();
        const positions = await log.append([1, 2, 3, 4].map((n) => record('a', n)));
        await log.trim('commands', positions[2] as Position);
        expect((await all(log, 'commands')).map(({ body }) => body)).toEqual([3, 4]);
        const inbox = new Inbox();
        await log.subscribe('commands', [positions[0] as Position], inbox.take);
        await inbox.has(2);
        expect(inbox.bodies).toEqual([3, 4]);

        const end = after(positions[3] as Position);
        await log.trim('commands', end);
        expect(await all(log, 'commands')).toEqual([]);
        expect(await log.ends('commands')).toContainEqual(end);
        const again = await reopen();
        expect(await again.ends('commands')).toContainEqual(end);
        expect(await again.append([record('a', 5)])).toEqual([end]);
        expect((await all(again, 'commands')).map(({ body }) => body)).toEqual([5]);
      });

      it.each(['config', 'snapshots'] as const)('leaves the newest of every key of %s', async (topic) => {
        const { log, reopen } = await fresh();
        const changes = fc.array(
          fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), live: fc.boolean() }), { maxLength: 8 }),
          { maxLength: 8 },
        );
        const model = new Map<string, unknown>();
        let count = 0;
        const fold = (records: readonly PlacedRecord[]) => {
          const newest = new Map<string, unknown>();
          for (const { key, body } of records) {
            if (body === undefined) newest.delete(key);
            else newest.set(key, body);
          }
          return newest;
        };
        await fc.assert(
          fc.asyncProperty(changes, fc.boolean(), async (batches, trim) => {
            for (const batch of batches) {
              const records = batch.map(({ key, live }) => record(key, live ? count++ : undefined, { topic }));
              await log.append(records);
              for (const { key, body } of records) {
                if (body === undefined) model.delete(key);
                else model.set(key, body);
              }
            }
            if (trim) for (const end of await log.ends(topic)) await log.trim(topic, end);
            expect(fold(await all(log, topic))).toEqual(model);
          }),
          { numRuns: 50 },
        );
        expect(fold(await all(await reopen(), topic))).toEqual(model);
      });
    });

    describe('positionAt', () => {
      it('is the first record of a time or later, else the end', async () => {
        const { log } = await fresh();
        const positions = await log.append([10, 30, 20, 30, 40].map((at) => record('a', at, { at })));
        const first = async (at: number) =>
          (await log.positionAt('commands', at)).filter(({ partition }) => partition === positions[0]?.partition);
        expect(await first(0)).toEqual([positions[0]]);
        expect(await first(10)).toEqual([positions[0]]);
        expect(await first(11)).toEqual([positions[1]]);
        expect(await first(30)).toEqual([positions[1]]);
        expect(await first(31)).toEqual([positions[4]]);
        expect(await first(41)).toEqual([after(positions[4] as Position)]);
        await log.trim('commands', positions[2] as Position);
        expect(await first(0)).toEqual([positions[2]]);
        expect(await first(25)).toEqual([positions[3]]);
      });
    });
  });
}

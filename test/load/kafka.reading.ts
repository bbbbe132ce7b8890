import { Admin } from '@platformatic/kafka';
import { KafkaEventLog } from '#adapters/kafka/kafka-event-log.js';
import type { PlacedTransition } from '#core/run/run.transitions.js';
import type { Position } from '#core/words.js';
import { SystemClock } from '#platform/system-clock.js';
import type { PlacedRecord, Topic } from '#ports/event-log.port.js';
import { runsOf, type LoggedRun, type LogReading, type LogTally, type Told } from './log.reading.ts';

const TOPICS: readonly Topic[] = ['events', 'commands', 'transitions', 'snapshots', 'config', 'dead-letters'];
const TOLD: ReadonlySet<string> = new Set(['RunScheduled', 'StepCompleted', 'RunCompleted']);
const PAGE = 5_000;
const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** The log on topics, each transition read once to be counted. */
export class KafkaReading implements LogReading {
  private readonly log: KafkaEventLog;
  private readonly admin: Admin;
  private readonly prefix: string;
  private readonly read: number[] = [];
  private runsCompleted = 0;
  private wentWrong = 0;

  private constructor(log: KafkaEventLog, admin: Admin, prefix: string) {
    this.log = log;
    this.admin = admin;
    this.prefix = prefix;
  }

  /** Once Millrace has made its topics. */
  static async open(brokers: readonly string[], prefix: string): Promise<KafkaReading> {
    const clientId = 'bench';
    const log = await KafkaEventLog.open({ brokers, clientId, prefix, clock: new SystemClock(), logger: SILENT });
    return new KafkaReading(log, new Admin({ clientId, bootstrapBrokers: [...brokers] }), prefix);
  }

  async tally(): Promise<LogTally> {
    const ends = await this.log.ends('transitions');
    await Promise.all(
      ends.map(async ({ partition, offset: end }) => {
        const from = this.read[partition] ?? 0;
        for await (const { type } of this.records({ partition, offset: from }, end)) this.count(type);
        this.read[partition] = end;
      }),
    );
    const [events, commands, deadLetters, bytes] = await Promise.all([
      this.length('events'),
      this.length('commands'),
      this.length('dead-letters'),
      this.bytes(),
    ]);
    const { runsCompleted, wentWrong } = this;
    return { bytes, events, commands, runsCompleted, wentWrong: wentWrong + deadLetters };
  }

  async runs(slug: string): Promise<readonly LoggedRun[]> {
    const ends = await this.log.ends('transitions');
    const byPartition = ends.map(async ({ partition, offset: end }) => {
      const told: Told[] = [];
      for await (const { key, type, body } of this.records({ partition, offset: 0 }, end)) {
        if (TOLD.has(type)) told.push({ runId: key, partition, transition: (body as PlacedTransition).transition });
      }
      return runsOf(slug, told);
    });
    return (await Promise.all(byPartition)).flat();
  }

  async close(): Promise<void> {
    await Promise.all([this.log.close(), this.admin.close()]);
  }

  private count(type: string): void {
    if (type === 'RunCompleted') this.runsCompleted++;
    if (type === 'RunFailed' || type === 'RunCancelled') this.wentWrong++;
  }

  private async *records(from: Position, end: number): AsyncGenerator<PlacedRecord> {
    for (let { offset } = from; offset < end;) {
      const page = await this.log.read('transitions', { ...from, offset }, Math.min(PAGE, end - offset));
      const last = page.at(-1);
      if (!last) return;
      yield* page;
      offset = last.position.offset + 1;
    }
  }

  private async length(topic: Topic): Promise<number> {
    return (await this.log.ends(topic)).reduce((sum, { offset }) => sum + offset, 0);
  }

  private async bytes(): Promise<number> {
    const topics = await Promise.all(
      TOPICS.map(async (topic) => {
        const partitions = (await this.log.ends(topic)).map(({ partition }) => partition);
        return { name: `${this.prefix}${topic}`, partitions };
      }),
    );
    const brokers = await this.admin.describeLogDirs({ topics });
    const sizes = brokers
      .flatMap(({ results }) => results)
      .flatMap((result) => result.topics)
      .flatMap(({ partitions }) => partitions)
      .map(({ partitionSize }) => Number(partitionSize));
    return sizes.reduce((sum, size) => sum + size, 0);
  }
}

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterInstallation, type ClusterSize } from './cluster.installation.ts';
import type { ClusterServices } from './cluster.services.ts';
import { now } from './clock.ts';
import { EmbeddedInstallation } from './embedded.installation.ts';
import type { Installation, Mode } from './installation.ts';
import { since, type LoggedRun, type LogReading, type LogTally } from './log.reading.ts';
import type { Mark } from './recorder.ts';
import { Peer } from './peer.ts';
import { forgetPeak, usageOf, type Usage } from './process.meter.ts';
import { Sender } from './sender.ts';

export interface StageOptions {
  /** Collect garbage before memory is read. */
  readonly exposeGc?: boolean;
  /** A folder that gets a CPU profile of every process of Millrace for everything that is measured. */
  readonly profiles?: string;
  /** A cluster on these services; absent: one process. */
  readonly cluster?: ClusterSize & {
    readonly services: ClusterServices;
    /** Of every process. */
    readonly env?: Readonly<Record<string, string>>;
  };
}

/** By process: the parts of the installation, the app with the SDK, the endpoint without one (`raw`), and what drives them (`driver`). */
type ByPart<T> = Readonly<Record<string, T>>;

/** CPU in ms and highest memory in bytes. */
export interface Cost {
  readonly cpuMs: ByPart<number>;
  readonly rssPeakBytes: ByPart<number>;
}

export interface MeasuredCost extends Cost {
  /** How long the work took; coming to rest is not counted. */
  readonly workMs: number;
  /** What the log has got by it. */
  readonly log: LogTally;
}

/** Less in 200 ms is rest, for each two processes: ms of CPU. */
const REST_CPU_MS = 10;

/** Millrace without any data, an app with the SDK and an endpoint without, each in its own process, and a sender of events. */
export class Stage {
  private readonly options: StageOptions;
  private readonly logReading: LogReading;
  private last = 0;
  private measurements = 0;
  readonly app: Peer;
  readonly raw: Peer;
  readonly millrace: Installation;
  sender: Sender;

  private constructor(millrace: Installation, logReading: LogReading, app: Peer, raw: Peer, options: StageOptions) {
    this.millrace = millrace;
    this.logReading = logReading;
    this.app = app;
    this.raw = raw;
    this.options = options;
    this.sender = new Sender(millrace.url);
  }

  static async open(options: StageOptions = {}): Promise<Stage> {
    const { cluster } = options;
    const millrace = cluster
      ? await ClusterInstallation.make(cluster.services, cluster, cluster.env)
      : await EmbeddedInstallation.make();
    const env = { INNGEST_DEV: millrace.url, PORT: '0' };
    const peers = await Promise.all([Peer.start('app.main.ts', env), Peer.start('raw.main.ts', env)]);
    try {
      millrace.start(startOptions(options, peers));
      await millrace.ready(peers.length);
      return new Stage(millrace, await millrace.reading(), ...peers, options);
    } catch (error) {
      await Promise.all(peers.map((peer) => peer.stop()));
      await millrace.close();
      throw error;
    }
  }

  get mode(): Mode {
    return this.millrace.mode;
  }

  /** Numbers that no event had before. */
  numbers(count: number): readonly number[] {
    return Array.from({ length: count }, () => ++this.last);
  }

  /** Kills all processes of Millrace at once. @returns starts them again, with what they have kept */
  async kill(): Promise<() => void> {
    await this.millrace.kill();
    return () => this.start();
  }

  /** Ends Millrace and starts it again. @returns how long it took from then until every partition was served, ms, and what */
  async restarted(between: () => Promise<void> = () => Promise.resolve()): Promise<{ ms: number; cost: Cost }> {
    const partitions = await this.millrace.partitionsServed();
    await this.millrace.stop();
    await between();
    const costUntilNow = this.metered();
    const from = now();
    this.start();
    const serve = async () => (await this.millrace.partitionsServed()) >= partitions;
    while (!(await serve().catch(() => false))) await sleep(10);
    const ms = now() - from;
    const cost = costUntilNow();
    await this.millrace.ready(2);
    return { ms, cost };
  }

  private start(): void {
    this.millrace.start(startOptions(this.options, [this.app, this.raw]));
    void this.sender.close();
    this.sender = new Sender(this.millrace.url);
  }

  /** All executions of both apps since the last call. */
  async marks(): Promise<readonly Mark[]> {
    const [ofApp, ofRaw] = await Promise.all([this.app.take(), this.raw.take()]);
    return [...ofApp, ...ofRaw];
  }

  /** Does something on a server at rest and says what it has cost, what it has left to do included. */
  async measured(work: () => Promise<void>): Promise<MeasuredCost> {
    await this.quiet();
    const log = await this.log();
    const cost = this.metered();
    const from = now();
    let workMs = NaN;
    await this.profiled(async () => {
      await work();
      workMs = now() - from;
      await this.quiet();
    });
    return { ...cost(), workMs, log: since(log, await this.log()) };
  }

  /** @returns says what was spent from now on, by processes that are there when it is asked */
  metered(): () => Cost {
    const before = new Map<number, number>();
    for (const pid of this.parts().flatMap(({ pids }) => pids)) {
      forgetPeak(pid);
      before.set(pid, usageOf(pid).cpuMs);
    }
    return () => {
      const parts = this.parts();
      const spentMs = (pids: readonly number[]) =>
        pids.reduce((sum, pid) => sum + usageOf(pid).cpuMs - (before.get(pid) ?? 0), 0);
      return {
        cpuMs: Object.fromEntries(parts.map(({ name, pids }) => [name, spentMs(pids)])),
        rssPeakBytes: Object.fromEntries(parts.map(({ name, pids }) => [name, sumOf(pids).rssPeakBytes])),
      };
    };
  }

  private async profiled(work: () => Promise<void>): Promise<void> {
    const { profiles } = this.options;
    if (profiles === undefined) return work();
    const name = `${String(++this.measurements).padStart(2, '0')}.${Date.now()}`;
    await this.millrace.profiled((process) => join(profiles, `${name}.${process}.cpuprofile`), work);
  }

  usage(): ByPart<Usage> {
    return Object.fromEntries(this.parts().map(({ name, pids }) => [name, sumOf(pids)]));
  }

  /** Of all processes of Millrace together. */
  ownUsage(): Usage {
    return sumOf(this.ownPids());
  }

  private parts() {
    const ours = [
      { name: 'app', pids: [this.app.pid] },
      { name: 'raw', pids: [this.raw.pid] },
      { name: 'driver', pids: [process.pid] },
    ];
    return [...this.millrace.parts(), ...ours];
  }

  private ownPids(): readonly number[] {
    return this.millrace.parts().flatMap(({ isOwn, pids }) => (isOwn ? pids : []));
  }

  /** Resolves when Millrace has come to rest, after 10 s at the latest. */
  async quiet(): Promise<void> {
    const rest = REST_CPU_MS * Math.max(1, this.ownPids().length / 2);
    let calm = 0;
    for (const end = now() + 10_000; calm < 3 && now() < end;) {
      const before = this.ownUsage().cpuMs;
      await sleep(200);
      calm = this.ownUsage().cpuMs - before <= rest ? calm + 1 : 0;
    }
  }

  /** What is on the log by now. */
  log(): Promise<LogTally> {
    return this.logReading.tally();
  }

  /** All runs of a function. */
  loggedRuns(slug: string): Promise<readonly LoggedRun[]> {
    return this.logReading.runs(slug);
  }

  async close(): Promise<void> {
    await Promise.all([this.sender.close(), this.logReading.close()]);
    await this.millrace.close();
    await Promise.all([this.app.stop(), this.raw.stop()]);
  }
}

function startOptions({ exposeGc = false, profiles }: StageOptions, peers: readonly Peer[]) {
  return {
    appUrls: peers.map(({ url }) => url),
    inside: exposeGc || profiles !== undefined,
    nodeFlags: exposeGc ? ['--expose-gc'] : [],
  };
}

function sumOf(pids: readonly number[]): Usage {
  const usages = pids.map(usageOf);
  const sum = (field: keyof Usage): number => usages.reduce((total, usage) => total + usage[field], 0);
  return { cpuMs: sum('cpuMs'), rssBytes: sum('rssBytes'), rssPeakBytes: sum('rssPeakBytes') };
}

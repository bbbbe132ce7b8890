import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunTransition } from '#core/run/run.transitions.js';
import { now } from './clock.ts';
import type { Mark } from './recorder.ts';
import { Peer } from './peer.ts';
import { childrenOf, forgetPeak, usageOf, type Usage } from './process.meter.ts';
import { Sender } from './sender.ts';
import { ServerProcess } from './server.process.ts';

export interface StageOptions {
  /** Collect garbage before memory is read. */
  readonly exposeGc?: boolean;
  /** A folder that gets a CPU profile of the server for everything that is measured. */
  readonly profiles?: string;
}

/** CPU in ms and highest memory in bytes, by process. */
export interface Cost {
  /** How long the work took; coming to rest is not counted. */
  readonly workMs: number;
  readonly cpuMs: Readonly<Record<Part, number>>;
  readonly rssPeakBytes: Readonly<Record<Part, number>>;
  /** What the log has got by it. */
  readonly log: LogTally;
}

/** A run, as the log tells it. */
export interface LoggedRun {
  readonly runId: string;
  readonly eventId: string;
  /** JSON of each recorded result of a step, in order. */
  readonly results: readonly string[];
  /** JSON; undefined while it has not completed. */
  readonly output: string | undefined;
}

export interface LogTally {
  /** What has not been copied out of the write-ahead log included, free pages not. */
  readonly bytes: number;
  readonly runsCompleted: number;
  /** Failed, cancelled, or records that could not be processed. */
  readonly wentWrong: number;
}

/** The server, the engine of its history beside it, the app with the SDK, the endpoint without one, and what drives them. */
export type Part = 'server' | 'history' | 'app' | 'raw' | 'driver';

const PARTS: readonly Part[] = ['server', 'history', 'app', 'raw', 'driver'];

/** A server on an empty data folder, an app with the SDK and an endpoint without, each in its own process, and a sender of events. */
export class Stage {
  private readonly folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  private readonly options: StageOptions;
  private readonly port: number;
  private last = 0;
  private measurements = 0;
  readonly app: Peer;
  readonly raw: Peer;
  server: ServerProcess;
  sender: Sender;

  private constructor(port: number, app: Peer, raw: Peer, options: StageOptions) {
    this.port = port;
    this.app = app;
    this.raw = raw;
    this.options = options;
    this.server = this.spawn();
    this.sender = new Sender(this.server.url);
  }

  static async open(options: StageOptions = {}): Promise<Stage> {
    const port = await freePort();
    const env = { INNGEST_DEV: `http://127.0.0.1:${port}`, PORT: '0' };
    const app = await Peer.start('app.main.ts', env);
    const raw = await Peer.start('raw.main.ts', env);
    const stage = new Stage(port, app, raw, options);
    await stage.server.ready(2);
    return stage;
  }

  private spawn(): ServerProcess {
    return ServerProcess.spawn({
      port: this.port,
      dataDir: join(this.folder, 'data'),
      appUrls: [this.app.url, this.raw.url],
      inside: this.options.exposeGc === true || this.options.profiles !== undefined,
      nodeFlags: this.options.exposeGc === true ? ['--expose-gc'] : [],
    });
  }

  /** Numbers that no event had before. */
  numbers(count: number): readonly number[] {
    return Array.from({ length: count }, () => ++this.last);
  }

  /** Kills the server at once. @returns starts it again, on the same folder */
  async kill(): Promise<() => void> {
    await this.server.kill();
    await this.sender.close();
    return () => {
      this.server = this.spawn();
      this.sender = new Sender(this.server.url);
    };
  }

  /** All executions of both apps since the last call. */
  async marks(): Promise<readonly Mark[]> {
    const [ofApp, ofRaw] = await Promise.all([this.app.take(), this.raw.take()]);
    return [...ofApp, ...ofRaw];
  }

  /** Does something on a server at rest and says what it has cost, what it has left to do included. */
  async measured(work: () => Promise<void>): Promise<Cost> {
    await this.quiet();
    for (const pid of this.pids().flatMap(([, all]) => all)) forgetPeak(pid);
    const log = this.log();
    const before = this.usage();
    const from = now();
    let workMs = NaN;
    await this.profiled(async () => {
      await work();
      workMs = now() - from;
      await this.quiet();
    });
    const after = this.usage();
    const logAfter = this.log();
    const of = <T>(value: (part: Part) => T) => Object.fromEntries(PARTS.map((part) => [part, value(part)]));
    return {
      workMs,
      cpuMs: of((part) => Math.max(0, after[part].cpuMs - before[part].cpuMs)) as Record<Part, number>,
      rssPeakBytes: of((part) => after[part].rssPeakBytes) as Record<Part, number>,
      log: since(log, logAfter),
    };
  }

  private async profiled(work: () => Promise<void>): Promise<void> {
    const { profiles } = this.options;
    if (profiles === undefined) return work();
    const file = join(profiles, `${String(++this.measurements).padStart(2, '0')}.${Date.now()}.cpuprofile`);
    await this.server.profiled(file, work);
  }

  usage(): Record<Part, Usage> {
    const sums = this.pids().map(([part, pids]) => {
      const usages = pids.map(usageOf);
      const sum = (field: keyof Usage): number => usages.reduce((total, usage) => total + usage[field], 0);
      return [part, { cpuMs: sum('cpuMs'), rssBytes: sum('rssBytes'), rssPeakBytes: sum('rssPeakBytes') }] as const;
    });
    return Object.fromEntries(sums) as Record<Part, Usage>;
  }

  private pids(): readonly (readonly [Part, readonly number[]])[] {
    const { server, app, raw } = this;
    return [
      ['server', [server.pid]],
      ['history', childrenOf(server.pid)],
      ['app', [app.pid]],
      ['raw', [raw.pid]],
      ['driver', [process.pid]],
    ];
  }

  /** Resolves when the server and its history have come to rest, after 10 s at the latest. */
  async quiet(): Promise<void> {
    const busyMs = () => {
      const { server, history } = this.usage();
      return server.cpuMs + history.cpuMs;
    };
    let calm = 0;
    for (const end = now() + 10_000; calm < 3 && now() < end;) {
      const before = busyMs();
      await sleep(200);
      calm = busyMs() - before <= 10 ? calm + 1 : 0;
    }
  }

  /** What is on the log by now. */
  log(): LogTally {
    return this.looking((db) => {
      const number = (sql: string) => Number(Object.values(db.prepare(sql).get() ?? {})[0]);
      const ended = (types: string) =>
        number(`SELECT count(*) FROM transitions WHERE kind IN (SELECT id FROM kinds WHERE type IN (${types}))`);
      return {
        bytes: (number('PRAGMA page_count') - number('PRAGMA freelist_count')) * number('PRAGMA page_size'),
        runsCompleted: ended("'RunCompleted'"),
        wentWrong: ended("'RunFailed', 'RunCancelled'") + number('SELECT count(*) FROM dead_letters'),
      };
    });
  }

  /** All runs of a function. */
  loggedRuns(slug: string): readonly LoggedRun[] {
    const all = this.looking((db) => {
      const bodies = db.prepare(
        "SELECT t.key, t.body FROM transitions t JOIN kinds k ON k.id = t.kind WHERE k.type IN ('RunScheduled', 'StepCompleted', 'RunCompleted') ORDER BY t.offset",
      );
      return bodies.all() as unknown as readonly { readonly key: string; readonly body: string }[];
    });
    const runs = new Map<string, LoggedRun>();
    for (const { key, body } of all) {
      const { transition } = JSON.parse(body) as { readonly transition: RunTransition };
      const run = runs.get(key);
      if (transition.type === 'RunScheduled' && transition.functionSlug === slug) {
        runs.set(key, { runId: key, eventId: transition.eventIds[0] ?? '', results: [], output: undefined });
      } else if (run && transition.type === 'StepCompleted') {
        runs.set(key, { ...run, results: [...run.results, transition.memo] });
      } else if (run && transition.type === 'RunCompleted') {
        runs.set(key, { ...run, output: transition.output });
      }
    }
    return [...runs.values()];
  }

  private looking<T>(look: (db: DatabaseSync) => T): T {
    const db = new DatabaseSync(join(this.folder, 'data', 'log.db'), { readOnly: true, timeout: 5_000 });
    try {
      return look(db);
    } finally {
      db.close();
    }
  }

  async close(): Promise<void> {
    await this.sender.close();
    await this.server.stop();
    await Promise.all([this.app.stop(), this.raw.stop()]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function since(before: LogTally, after: LogTally): LogTally {
  return {
    bytes: after.bytes - before.bytes,
    runsCompleted: after.runsCompleted - before.runsCompleted,
    wentWrong: after.wentWrong - before.wentWrong,
  };
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

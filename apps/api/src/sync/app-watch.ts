import type { Catalog } from '#ports/catalog.port.js';
import type { Access } from '#ports/access.port.js';
import { AppUnreachable, type AppTransport } from '#ports/app-transport.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { PlatformJobs } from '#ports/platform-jobs.port.js';
import { isApp } from '#protocol/introspection.js';
import type { AppSync } from './app-sync.js';

const PORTS = [
  80, 443, 3000, 3001, 3002, 3003, 3004, 3005, 3006, 3007, 3008, 3009, 3010, 4321, 5000, 5173, 8000, 8080, 8081, 8787,
  8888,
];
const MORE_PORTS = [8910, 8911, 8912, 8913, 8914, 8915];
const PATHS = ['/api/inngest', '/x/inngest', '/.netlify/functions/inngest', '/.redwood/functions/inngest'];
const JOB = 'apps';
/** It is put on schedule as soon as that can be done. */
const RETRY_MS = 1_000;
const PROBE_MS = 2_000;
const PROBE_BYTES_MAX = 256 * 1024;

export interface WatchOptions {
  /** URLs that were named: asked until they answer. */
  readonly urls: readonly string[];
  /** Look on the usual local ports while no app is known. */
  readonly discovery: boolean;
  /** Ask healthy apps again and again whether they changed; those in error always are. */
  readonly poll: boolean;
  readonly intervalMs: number;
  /** `$PORT`, probed like the others. */
  readonly extraPorts: readonly number[];
  /** Not probed: our own. */
  readonly ownPort: number;
}

/** Keeps an eye on apps: named ones, found ones, known ones. Contract 24.3. Of several processes one does so at a time. */
export class AppWatch {
  private cancel: (() => void) | undefined;
  private closed = false;

  constructor(
    private readonly sync: AppSync,
    private readonly catalog: Catalog,
    private readonly transport: AppTransport,
    private readonly access: Access,
    private readonly jobs: PlatformJobs,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly options: WatchOptions,
  ) {}

  open(): void {
    this.jobs.handle(JOB, () => this.look());
    void this.schedule();
  }

  /** Closes the jobs as well. */
  async close(): Promise<void> {
    this.closed = true;
    this.cancel?.();
    await this.jobs.close();
  }

  private async schedule(): Promise<void> {
    try {
      await this.jobs.schedule(JOB, this.options.intervalMs);
    } catch (error) {
      if (this.closed) return;
      this.logger.warn({ err: error }, 'apps cannot be looked after; trying again');
      this.cancel = this.clock.at(this.clock.now() + RETRY_MS, () => void this.schedule());
    }
  }

  private async look(): Promise<void> {
    const apps = this.catalog.apps(this.access.env).filter(({ method }) => method === 'SERVE');
    const known = new Set(apps.map(({ url }) => url));
    const due = apps.filter(({ error }) => this.options.poll || error !== undefined).map(({ url }) => url);
    const named = this.options.urls.filter((url) => !known.has(url));
    await Promise.all([...named, ...due].map((url) => this.sync.ping(url)));
    if (this.options.discovery && apps.length === 0 && this.options.urls.length === 0) await this.discover();
  }

  private async discover(): Promise<void> {
    const ports = [...new Set([...PORTS, ...MORE_PORTS, ...this.options.extraPorts])].filter(
      (port) => port !== this.options.ownPort,
    );
    const found = await Promise.all(ports.map((port) => this.probe(port)));
    for (const url of found) if (url !== undefined && !this.closed) await this.sync.ping(url);
  }

  /** The first path of a port behind which an app lives. A port where nothing listens is asked once. */
  private async probe(port: number): Promise<string | undefined> {
    for (const path of PATHS) {
      const url = `http://localhost:${port}${path}`;
      try {
        const reply = await this.transport.send({
          method: 'GET',
          url,
          headers: {},
          timeoutMs: PROBE_MS,
          bodyBytesMax: PROBE_BYTES_MAX,
        });
        if (isApp(reply)) return url;
      } catch (error) {
        if (!(error instanceof AppUnreachable)) throw error;
        if (error.code === 'http_unreachable' || error.code === 'http_timeout') return undefined;
      }
    }
    return undefined;
  }
}

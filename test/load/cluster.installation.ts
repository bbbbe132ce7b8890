import { ClusterNames } from '../harness/cluster.names.ts';
import type { ClusterServices } from './cluster.services.ts';
import { freePort, Installation, WORKERS, type InstallationOptions, type Part } from './installation.ts';
import { KafkaReading } from './kafka.reading.ts';
import type { LogReading } from './log.reading.ts';
import type { ProcessOptions } from './millrace.process.ts';

/** How many processes of the roles that can have several. */
export interface ClusterSize {
  readonly runners: number;
  readonly executors: number;
}

interface Place {
  readonly name: string;
  readonly roles: string;
  readonly port: number;
}

/** A process for each role, on services, with topics, keys and databases of its own there. */
export class ClusterInstallation extends Installation {
  override readonly mode = 'cluster';
  override readonly workers: number;
  private readonly services: ClusterServices;
  private readonly names: ClusterNames;
  private readonly places: readonly Place[];
  private readonly env: Readonly<Record<string, string>>;

  private constructor(
    services: ClusterServices,
    names: ClusterNames,
    places: readonly Place[],
    env: Readonly<Record<string, string>>,
  ) {
    super();
    this.services = services;
    this.names = names;
    this.places = places;
    this.env = { ...env, MILLRACE_TOPIC_PREFIX: names.prefix };
    this.workers = WORKERS * places.filter(({ roles }) => roles === 'executor').length;
  }

  static async make(
    services: ClusterServices,
    { runners, executors }: ClusterSize,
    env: Readonly<Record<string, string>> = {},
  ): Promise<ClusterInstallation> {
    const several = (role: string, count: number) =>
      Array.from({ length: count }, (_, i) => ({ name: count === 1 ? role : `${role} ${i + 1}`, roles: role }));
    const processes = [
      { name: 'event-api+api', roles: 'event-api,api' },
      ...several('runner', runners),
      ...several('executor', executors),
      { name: 'projector', roles: 'projector' },
    ];
    const places: Place[] = [];
    for (const process of processes) places.push({ ...process, port: await freePort() });
    return new ClusterInstallation(services, await ClusterNames.make(services.urls), places, env);
  }

  override get url(): string {
    return `http://127.0.0.1:${this.places[0]?.port}`;
  }

  protected override plan({ appUrls, inside, nodeFlags }: InstallationOptions): readonly ProcessOptions[] {
    const shared = Object.entries(this.names.flags).flatMap(([name, value]) =>
      [value].flat().flatMap((each) => [`--${name}`, String(each)]),
    );
    const apps = appUrls.flatMap((url) => ['-u', url]);
    return this.places.map(({ name, roles, port }, i) => {
      const flags = [...shared, '--roles', roles, ...(i === 0 ? apps : [])];
      return { name, port, flags, env: this.env, inside, nodeFlags };
    });
  }

  override parts(): readonly Part[] {
    const own = this.running.map(({ name, pid }) => ({ name, pids: [pid], isOwn: true }));
    return [...own, ...this.services.parts()];
  }

  override reading(): Promise<LogReading> {
    return KafkaReading.open(this.services.urls.kafkaBrokers, this.names.prefix);
  }

  override async empty(): Promise<void> {
    if (this.services.areOwn) await this.services.emptyRedis();
    else await this.names.removeKeys();
  }

  protected override async remove(): Promise<void> {
    await this.names.remove();
  }
}

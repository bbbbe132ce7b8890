import { Catalog } from '#ports/catalog.port.js';
import { Clock } from '#ports/clock.port.js';
import { ControlPlane, type ConfigChange } from '#ports/control-plane.port.js';
import { EventLog, type LogRecord } from '#ports/event-log.port.js';

const PAGE = 500;

/** Brings what the control plane's outbox holds to the `config` topic, in order. A crash in between brings it again, to the same end. */
export class ConfigRelay {
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly controlPlane: ControlPlane,
    private readonly log: EventLog,
    private readonly catalog: Catalog,
    private readonly clock: Clock,
  ) {}

  /** Resolves once every change made before the call is known to the data plane. @throws log_unavailable, control_plane_unavailable */
  async flush(): Promise<void> {
    const flushed = this.running.then(
      () => this.drain(),
      () => this.drain(),
    );
    this.running = flushed.catch(() => undefined);
    await flushed;
    await this.catalog.caughtUp();
  }

  private async drain(): Promise<void> {
    for (;;) {
      const changes = await this.controlPlane.outbox(PAGE);
      const last = changes.at(-1);
      if (!last) return;
      await this.log.append(changes.map((change) => this.record(change)));
      await this.controlPlane.taken(last.id);
      if (changes.length < PAGE) return;
    }
  }

  private record({ kind, key, env, body }: ConfigChange): LogRecord {
    return {
      topic: 'config',
      key: `${kind}:${key}`,
      type: kind === 'app' ? 'App' : 'Function',
      schema: 1,
      env,
      at: this.clock.now(),
      body,
    };
  }
}

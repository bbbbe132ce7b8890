import { Catalog } from '#ports/catalog.port.js';
import { Clock } from '#ports/clock.port.js';
import { ControlPlane, type ConfigChange } from '#ports/control-plane.port.js';
import { EventLog, type LogRecord } from '#ports/event-log.port.js';

const PAGE = 500;

/** Brings what the control plane's outbox holds to the `config` topic, in order. A crash in between brings it again, to the same end. */
export class ConfigRelay {
  private running: Promise<void> = Promise.resolve();
  /** The round that has not begun: it will bring all that there is by then, for whoever waits for it. */
  private next: Promise<void> | undefined;

  constructor(
    private readonly controlPlane: ControlPlane,
    private readonly log: EventLog,
    private readonly catalog: Catalog,
    private readonly clock: Clock,
  ) {}

  /** Resolves once every change made before the call is known to the data plane. @throws log_unavailable, control_plane_unavailable */
  async flush(): Promise<void> {
    this.next ??= this.round();
    await this.next;
    await this.catalog.caughtUp();
  }

  private round(): Promise<void> {
    const round = this.running.then(() => {
      this.next = undefined;
      return this.drain();
    });
    this.running = round.catch(() => undefined);
    return round;
  }

  private async drain(): Promise<void> {
    const deliver = async (changes: readonly ConfigChange[]): Promise<void> => {
      await this.log.append(changes.map((change) => this.record(change)));
    };
    let relayed: number;
    do relayed = await this.controlPlane.relay(PAGE, deliver);
    while (relayed === PAGE);
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

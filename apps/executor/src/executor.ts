import { Fault } from '#core/faults.js';
import type { ReportCall, WorkRef } from '#core/run/run.commands.js';
import type { Op, Outcome } from '#core/run/run.ops.js';
import { isEnded, type Call, type Run } from '#core/run/run.state.js';
import type { EpochMs } from '#core/words.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { Ids } from '#ports/ids.port.js';
import type { Letterbox } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { RunStates } from '#ports/run-states.port.js';
import type { Grant, Lease, WorkQueue } from '#ports/work-queue.port.js';
import type { AppCaller } from './app-caller.js';
import type { CallWatch } from './call.watch.js';
import type { GatewayCaller } from './gateway-caller.js';
import { aboutItem, LeaseKeeper } from './lease-keeper.js';
import type { RequestVault } from './request-vault.js';

export interface ExecutorOptions {
  /** Calls under way at most. */
  readonly workers: number;
  /** Fixed interval between attempts, instead of the backoff table. */
  readonly retryIntervalMs?: number;
}

interface Made {
  readonly outcome: Outcome;
  readonly requestVersion?: number;
}

/** Takes items off the queue, makes their calls and reports what they came to. Holds no state: what is lost on the way is handed out again. */
export class Executor {
  private readonly stopping = new AbortController();
  private readonly leases: LeaseKeeper;
  private workers: Promise<void>[] = [];

  constructor(
    private readonly queue: WorkQueue,
    private readonly states: RunStates,
    private readonly app: AppCaller,
    private readonly gateway: GatewayCaller,
    private readonly vault: RequestVault,
    private readonly letterbox: Letterbox,
    private readonly catalog: Catalog,
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly logger: Logger,
    private readonly watch: CallWatch,
    private readonly options: ExecutorOptions,
  ) {
    this.leases = new LeaseKeeper(queue, clock, logger);
  }

  open(): void {
    this.workers = Array.from({ length: this.options.workers }, () => this.work());
  }

  /** Takes no more items and waits for the calls under way, `drainMs` at most. */
  async close(drainMs: number): Promise<void> {
    this.stopping.abort();
    const late = Promise.withResolvers<void>();
    const cancel = this.clock.at(this.clock.now() + drainMs, late.resolve);
    await Promise.race([Promise.all(this.workers), late.promise]);
    cancel();
    this.leases.close();
  }

  private async work(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      const lease = await this.queue.claim(this.stopping.signal);
      if (!lease) return;
      this.leases.hold(lease);
      try {
        await this.handle(lease);
      } catch (error) {
        // The item is still owed: it goes out again once its lease has ended.
        this.logger.error(aboutItem(lease, error), 'work item failed on our side');
        this.leases.drop(lease);
        continue;
      }
      await this.complete(this.leases.drop(lease));
    }
  }

  /** Where the queue cannot be reached the item comes again when its lease is over, and is no longer owed by then. */
  private async complete(lease: Lease): Promise<void> {
    try {
      await this.queue.complete(lease);
    } catch (error) {
      this.logger.warn(aboutItem(lease, error), 'a work item that is done could not be told so');
    }
  }

  private async handle({ item, grant, token }: Lease): Promise<void> {
    const run = await this.states.get(item.runId);
    // A run is shown before its work is put out, so it has been lost: whoever serves it puts both out again.
    if (!run) throw new Fault('state_lost', { runId: item.runId });
    const work: WorkRef = { target: item.target, seq: item.seq, generation: item.generation };
    if (isEnded(run)) return this.drop(run, work);
    const call = Object.hasOwn(run.calls, item.target) ? run.calls[item.target] : undefined;
    // What is no longer owed has been answered or superseded meanwhile.
    if (!call || call.seq !== item.seq || call.generation !== item.generation) return;

    const startedAt = this.clock.now();
    if (grant && !(await this.sayCalled(run, work, token, grant, startedAt))) return;
    const started = !grant && run.state === 'queued' ? this.sayStarted(run, startedAt) : undefined;
    this.watch.handedOut(item, grant);
    const made = await this.watch.around(run, call, (traceparent) =>
      call.gateway ? this.gateway.call(run, call, traceparent) : this.app.call(run, call, traceparent),
    );
    await started;
    await this.report(run, call, work, startedAt, this.keepSecrets(run, made), grant !== undefined);
  }

  /** What counted when its run ended, and was lost by a crash: it goes out once more when its lease is over, and counts no longer. */
  private async drop(run: Run, work: WorkRef): Promise<void> {
    const { id: runId, env, lingering = [] } = run;
    if (!lingering.some(({ seq, generation }) => seq === work.seq && generation === work.generation)) return;
    const command = { type: 'DropCall', runId, env, at: this.clock.now(), work } as const;
    await this.sure(() => this.letterbox.post([{ key: runId, command }]));
  }

  /**
   * A limit counts the call: that it is made, and where a throttle stands, is on the log before the app hears of it, so that limits hold also
   * across a crash. @returns false when it is not to be made: the run has ended, or another call has taken its place
   */
  private async sayCalled(
    run: Run,
    work: WorkRef,
    lease: string,
    { throttle, waited }: Grant,
    at: EpochMs,
  ): Promise<boolean> {
    const { id: runId, env, functionId } = run;
    const { finishMs } = this.catalog.function(functionId)?.config.timeouts ?? {};
    const timeout = finishMs === undefined ? {} : { finishTimeoutMs: finishMs };
    const said = this.sure(() =>
      this.letterbox.ask(runId, {
        type: 'StartCall',
        runId,
        env,
        at,
        work,
        lease,
        ...(waited === undefined ? {} : { waited }),
        ...timeout,
      }),
    );
    const spent =
      throttle &&
      this.sure(() =>
        this.letterbox.post([
          { key: throttle.key, command: { type: 'SpendThrottle', env, functionId, at, runId, ...throttle } },
        ]),
      );
    const [{ ignored }] = await Promise.all([said, spent]);
    return ignored === undefined || ignored === 'nothing_new';
  }

  /** The run is RUNNING from its first request on. Not waited for: the answer to the request proves the start as well. */
  private async sayStarted(run: Run, at: EpochMs): Promise<void> {
    const finishTimeoutMs = this.catalog.function(run.functionId)?.config.timeouts.finishMs;
    const { id: runId, env } = run;
    await this.sure(() =>
      this.letterbox.post([
        {
          key: runId,
          command: { type: 'StartRun', runId, env, at, ...(finishTimeoutMs === undefined ? {} : { finishTimeoutMs }) },
        },
      ]),
    );
  }

  /** Requests that a function wants the server to make may carry keys: those never reach the log. */
  private keepSecrets(run: Run, made: Made): Made {
    if (made.outcome.kind !== 'ops' || !made.outcome.ops.some(isGateway)) return made;
    const ops = made.outcome.ops.map((op): Op =>
      isGateway(op) ? { ...op, request: this.vault.keep(run.id, op.id, op.request) } : op,
    );
    return { ...made, outcome: { ...made.outcome, ops } };
  }

  private async report(
    run: Run,
    call: Call,
    work: WorkRef,
    startedAt: EpochMs,
    { outcome, requestVersion }: Made,
    counted: boolean,
  ): Promise<void> {
    const command: ReportCall = {
      type: 'ReportCall',
      runId: run.id,
      env: run.env,
      at: this.clock.now(),
      work,
      outcome,
      startedAt,
      told: run.stack.length,
      dice: this.ids.dice(),
      ...(requestVersion === undefined ? {} : { requestVersion }),
      ...(this.options.retryIntervalMs === undefined ? {} : { retryIntervalMs: this.options.retryIntervalMs }),
    };
    if (!counted || !(await this.decided(command))) {
      await this.sure(() => this.letterbox.post([{ key: run.id, command }]));
    }
  }

  /**
   * Room under a limit is given on when what the run does next stands in line, not before: it is older than those that wait for it.
   * Contract 15. @returns false when nobody has decided in time; posting the command again is harmless
   */
  private async decided(command: ReportCall): Promise<boolean> {
    try {
      await this.sure(() => this.letterbox.ask(command.runId, command));
      return true;
    } catch (error) {
      if (error instanceof Fault && error.code === 'overloaded') return false;
      throw error;
    }
  }

  /** An outcome is worth keeping: while the log cannot be written it is tried again, the lease being extended. */
  private async sure<T>(post: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        return await post();
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'log_unavailable' || this.stopping.signal.aborted) throw error;
        await new Promise<void>((resolve) =>
          this.clock.at(this.clock.now() + Math.min(5_000, 100 * 2 ** tries), resolve),
        );
      }
    }
  }
}

type GatewayOp = Extract<Op, { op: 'Gateway' | 'AIGateway' }>;

function isGateway(op: Op): op is GatewayOp {
  return op.op === 'Gateway' || op.op === 'AIGateway';
}

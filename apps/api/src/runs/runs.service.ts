import { Injectable } from '@nestjs/common';
import { Fault } from '#core/faults.js';
import { isEnded, type Run } from '#core/run/run.state.js';
import { Access } from '#ports/access.port.js';
import { Clock } from '#ports/clock.port.js';
import { History, type RunFilter } from '#ports/history.port.js';
import { HistoryGate } from '#ports/history-gate.port.js';
import { Letterbox } from '#ports/letterbox.port.js';
import { RunStates } from '#ports/run-states.port.js';
import { WorkQueue } from '#ports/work-queue.port.js';
import { viewOfQueued, type QueuedView } from '../functions/queue.view.js';
import { viewOfRow, viewOfRun, type RunView } from './run.view.js';

const RUN_ID = /^[0-9A-HJKMNP-TV-Z]{26}$/;

interface JobView extends QueuedView {
  readonly id: string;
  readonly run_id: string;
  readonly function_id: string;
}

/** Runs, for people: as they are folded now while they are active, from History once they have ended. */
@Injectable()
export class RunsService {
  constructor(
    private readonly states: RunStates,
    private readonly history: History,
    private readonly gate: HistoryGate,
    private readonly letterbox: Letterbox,
    private readonly queue: WorkQueue,
    private readonly clock: Clock,
    private readonly access: Access,
  ) {}

  /** @throws run_id_invalid, run_unknown */
  async one(runId: string): Promise<RunView> {
    const run = await this.known(runId);
    if (run.ended_at !== null) return run;
    const now = this.clock.now();
    return { ...run, queue: (await this.queue.ofRun(runId)).map((call) => viewOfQueued(call, now)) };
  }

  /** Calls that are waiting to be made or under way. @throws run_id_invalid, run_unknown */
  async jobs(runId: string): Promise<readonly JobView[]> {
    const { function_id } = await this.known(runId);
    const now = this.clock.now();
    const calls = await this.queue.ofRun(runId);
    return calls.map((call) => ({ id: call.id, run_id: runId, function_id, ...viewOfQueued(call, now) }));
  }

  /** Newest first. Runs that are active are shown as they are now. */
  async list(filter: RunFilter): Promise<readonly RunView[]> {
    await this.gate.caughtUp();
    const rows = await this.history.runs(this.access.env, filter);
    return Promise.all(
      rows.map(async (row) => {
        const live = row.endedAt === null ? await this.states.get(row.runId) : undefined;
        return live ? viewOfRun(live) : viewOfRow(row);
      }),
    );
  }

  async ofEvent(internalId: string): Promise<readonly RunView[]> {
    await this.gate.caughtUp();
    const rows = await this.history.runsOfEvent(this.access.env, internalId);
    return rows.map(viewOfRow);
  }

  /** What happened to a run, in order: the transitions as they were accepted. @throws run_id_invalid, run_unknown */
  async transitions(runId: string): Promise<readonly unknown[]> {
    await this.known(runId);
    await this.gate.caughtUp();
    const rows = await this.history.transitions(this.access.env, runId);
    return rows.map(({ body, offset, index }) => ({ ...(JSON.parse(body) as object), position: { offset, index } }));
  }

  /** Harmless when the run has ended already. @throws run_id_invalid, run_unknown */
  async cancel(runId: string): Promise<void> {
    const run = await this.live(runId);
    if (!run) {
      await this.known(runId);
      return;
    }
    if (isEnded(run)) return;
    await this.letterbox.ask(runId, {
      type: 'CancelRun',
      runId,
      env: this.access.env,
      at: this.clock.now(),
      by: 'api',
    });
  }

  /** The folded run, for those who need its working state. @throws run_id_invalid, run_unknown, run_ended */
  async working(runId: string): Promise<Run> {
    const run = await this.live(runId);
    if (run && !isEnded(run)) return run;
    if (!run) await this.known(runId);
    throw new Fault('run_ended', { runId }, { message: `runtime state is no longer available for runID: ${runId}` });
  }

  private async known(runId: string): Promise<RunView> {
    const live = await this.live(runId);
    if (live) return viewOfRun(live);
    await this.gate.caughtUp();
    const row = await this.history.run(this.access.env, runId);
    if (!row) throw unknown(runId);
    return viewOfRow(row);
  }

  private async live(runId: string): Promise<Run | undefined> {
    if (!RUN_ID.test(runId)) throw new Fault('run_id_invalid', { runId: runId.slice(0, 64) });
    return this.states.get(runId);
  }
}

function unknown(runId: string): Fault {
  return new Fault('run_unknown', { runId }, { message: `Unable to load function run: ${runId}` });
}

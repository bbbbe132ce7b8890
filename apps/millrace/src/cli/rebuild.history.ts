import { PROJECTED, type ProjectedTopic } from '#apps/projector/src/gathered.js';
import { Projector } from '#apps/projector/src/projector.js';
import { RemoteGate } from '#apps/projector/src/remote-gate.js';
import { Fault } from '#core/faults.js';
import type { Position } from '#core/words.js';
import type { Ports } from '#platform/ports.js';
import type { Context } from './command.context.js';
import { confirm } from './confirm.js';
import { EXIT, Failure, type ExitCode } from './failure.js';
import type { RebuildOptions } from './rebuild.command.js';
import { waitFor } from './wait.for.js';

/** What there is of a partition. */
interface Kept {
  readonly topic: ProjectedTopic;
  readonly partition: number;
  /** The first offset that is kept on the log, */
  readonly from: number;
  /** and the one after the last. */
  readonly until: number;
  /** History has what came before `from`. */
  readonly isMoreInHistory: boolean;
}

export async function rebuildHistory(
  ports: Ports,
  { yes, waitMs }: RebuildOptions,
  context: Context,
): Promise<ExitCode> {
  const { history } = ports;
  const { console } = context;
  const kept = await keptOf(ports);
  if (!yes) {
    refuseToLose(kept.filter(({ isMoreInHistory }) => isMoreInHistory));
    await confirm('Throw away what history holds, and make it again from the log?', context);
  }
  const startedAt = performance.now();
  await history.empty();
  if (isOthers(ports)) {
    console.note('History is empty; waiting for projectors to bring it in again.');
    await broughtInByOthers(ports, waitMs);
  } else {
    console.note('History is empty; bringing it in again.');
    await bringIn(ports);
  }
  const ms = Math.round(performance.now() - startedAt);
  const partitions = kept.map(({ topic, partition, from, until }) => ({ topic, partition, from, until }));
  console.result({ rebuilt: 'history', partitions, ms }, () => [
    ...kept
      .filter(({ from }) => from > 0)
      .map((it) => `${beginningText(it)}; what came before is no longer on the log`),
    `History holds everything that is on the log again after ${ms} ms.`,
  ]);
  return EXIT.ok;
}

async function keptOf({ log, history }: Ports): Promise<readonly Kept[]> {
  const kept: Kept[] = [];
  for (const topic of PROJECTED) {
    const [first, ends] = await Promise.all([log.positionAt(topic, 0), log.ends(topic)]);
    const reached = await reachedOf(history.positions(topic));
    for (const [i, { partition, offset: until }] of ends.entries()) {
      const from = first[i]?.offset ?? until;
      kept.push({ topic, partition, from, until, isMoreInHistory: from > 0 && reached(partition) > 0 });
    }
  }
  return kept;
}

/** A History that cannot tell may have anything: it may be half emptied. */
async function reachedOf(positions: Promise<readonly Position[]>): Promise<(partition: number) => number> {
  try {
    const offsets = new Map((await positions).map(({ partition, offset }) => [partition, offset]));
    return (partition) => offsets.get(partition) ?? 0;
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'history_unavailable') throw error;
    return () => Infinity;
  }
}

function refuseToLose(more: readonly Kept[]): void {
  if (more.length === 0) return;
  throw new Failure(EXIT.failed, 'History holds more than the log does.', {
    why: `What came before cannot be made again: the log begins with ${more.map(beginningText).join(', ')}.`,
    next: 'Give --yes to lose it.',
    code: 'history_holds_more',
  });
}

function beginningText({ topic, partition, from }: Kept): string {
  return `${topic} ${partition} at ${from}`;
}

/** Nobody but us brings in what is in a folder of ours. */
function isOthers({ trims, historyIsShared }: Ports): boolean {
  return historyIsShared && !trims;
}

async function broughtInByOthers({ log, history, wire, clock }: Ports, waitMs: number): Promise<void> {
  const gate = new RemoteGate(log, history, wire, clock);
  await waitFor(waitMs, async () => {
    try {
      await gate.caughtUp();
      return true;
    } catch (error) {
      if (error instanceof Fault && error.code === 'history_unavailable') return false;
      throw error;
    }
  });
}

async function bringIn({ log, history, clock, logger }: Ports): Promise<void> {
  const projector = new Projector(log, history, clock, logger);
  await projector.open();
  try {
    await projector.caughtUp();
  } finally {
    await projector.close();
  }
}

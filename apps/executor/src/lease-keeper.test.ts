import { expect, it } from 'vitest';
import { MemoryWorkQueue } from '#adapters/memory/memory-work-queue.js';
import { Fault } from '#core/faults.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { SeededIds } from '#testkit/seeded-ids.js';
import { aWorkItem } from '#testkit/work-item.js';
import type { Lease } from '#ports/work-queue.port.js';
import { LeaseKeeper } from './lease-keeper.js';

const LEASE_MS = 6_000;
const ignore = () => undefined;
const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/** Cannot be reached at times. */
class DistantQueue extends MemoryWorkQueue {
  isReached = true;
  asked = 0;

  override extend(lease: Lease): Promise<Lease> {
    this.asked++;
    return this.isReached ? super.extend(lease) : Promise.reject(new Fault('state_unavailable', {}));
  }
}

async function holding(count: number) {
  const clock = new ManualClock();
  const queue = new DistantQueue(clock, new SeededIds(), LEASE_MS);
  const keeper = new LeaseKeeper(queue, clock, logger);
  await queue.enqueue(Array.from({ length: count }, (_, n) => aWorkItem(`item-${n}`)));
  for (let n = 0; n < count; n++) keeper.hold((await queue.claim(new AbortController().signal)) as Lease);
  return { clock, queue, keeper, counts: () => queue.counts() };
}

it('keeps leases as long as their calls last', async () => {
  const { clock, counts, keeper } = await holding(3);
  await clock.turn(10 * LEASE_MS);
  expect(await counts()).toMatchObject({ running: 3, ready: 0 });
  keeper.close();
});

it('keeps them over a time in which the queue cannot be reached', async () => {
  const { clock, queue, counts, keeper } = await holding(3);
  queue.isReached = false;
  await clock.turn(LEASE_MS / 2);
  queue.isReached = true;
  await clock.turn(10 * LEASE_MS);
  expect(await counts()).toMatchObject({ running: 3, ready: 0 });
  keeper.close();
});

it('lets go what it could not extend in time', async () => {
  const { clock, queue, keeper } = await holding(1);
  queue.isReached = false;
  await clock.turn(2 * LEASE_MS);
  const { asked } = queue;
  await clock.turn(LEASE_MS);
  expect(queue.asked).toBe(asked);
  keeper.close();
});

import { afterEach, describe, expect, it } from 'vitest';
import type { Owner, Ownership } from '#ports/ownership.port.js';

/** A set of partitions of its own for one test. */
export interface OwnershipUnderTest {
  readonly partitions: number;
  /** One more process that shares them. */
  readonly join: () => Ownership;
  /** Takes away what is kept of them. */
  readonly dispose: () => Promise<void>;
}

export interface OwnershipContractOptions {
  /** Why there can only be one process. */
  readonly alone?: string;
  /** Why a `take` that rejects is not tried again. */
  readonly once?: string;
}

/** Notes what it is told, checks that each partition is taken and given in turn, and can be waited for. */
export class NotingOwner implements Owner {
  readonly owned = new Set<number>();
  readonly told: string[] = [];
  readonly wrong: string[] = [];
  private waiting: { readonly until: () => boolean; readonly tell: () => void }[] = [];

  take(partition: number): Promise<void> {
    if (this.owned.has(partition)) this.wrong.push(`${partition} is taken twice`);
    this.owned.add(partition);
    this.note(`take ${partition}`);
    return Promise.resolve();
  }

  give(partition: number): Promise<void> {
    if (!this.owned.delete(partition)) this.wrong.push(`${partition} is given and was not taken`);
    this.note(`give ${partition}`);
    return Promise.resolve();
  }

  meets(until: () => boolean): Promise<void> {
    return until() ? Promise.resolve() : new Promise((tell) => this.waiting.push({ until, tell }));
  }

  has(count: number): Promise<void> {
    return this.meets(() => this.owned.size === count);
  }

  private note(line: string): void {
    this.told.push(line);
    this.waiting = this.waiting.filter(({ until, tell }) => !until() || (tell(), false));
  }
}

/** Resolves when every partition has one owner among these, and no owner two more than another. */
export async function evenlyShared(owners: readonly NotingOwner[], partitions: number): Promise<void> {
  const even = (): boolean => {
    const sizes = owners.map(({ owned }) => owned.size);
    const all = new Set(owners.flatMap(({ owned }) => [...owned]));
    const sum = sizes.reduce((total, size) => total + size, 0);
    return all.size === partitions && sum === partitions && Math.max(...sizes) - Math.min(...sizes) <= 1;
  };
  while (!even()) {
    const before = owners.map(({ told }) => told.length);
    const changed = (owner: NotingOwner, index: number) => owner.meets(() => owner.told.length > (before[index] ?? 0));
    await Promise.race(owners.map(changed));
  }
}

/** The promises of `Ownership`, held against an adapter. */
export function ownershipContract(
  name: string,
  open: () => Promise<OwnershipUnderTest>,
  options: OwnershipContractOptions = {},
): void {
  describe(`${name} keeps the promises of Ownership`, () => {
    const opened: OwnershipUnderTest[] = [];
    const joined: { ownership: Ownership; owner: NotingOwner }[] = [];
    const fresh = async (): Promise<OwnershipUnderTest> => {
      const of = await open();
      opened.push(of);
      return of;
    };
    const join = async (of: OwnershipUnderTest, owner = new NotingOwner()) => {
      const member = { ownership: of.join(), owner };
      joined.push(member);
      await member.ownership.open(owner);
      return member;
    };
    afterEach(async () => {
      const members = joined.splice(0);
      await Promise.all(members.map(({ ownership }) => ownership.close()));
      for (const of of opened.splice(0)) await of.dispose();
      for (const { owner } of members) {
        expect(owner.wrong).toEqual([]);
        expect(owner.owned).toEqual(new Set());
      }
    });

    it('gives all partitions to the one there is, and takes them back when it closes', async () => {
      const of = await fresh();
      const { ownership, owner } = await join(of);
      await owner.has(of.partitions);
      await ownership.close();
      const each = (what: string) => Array.from({ length: of.partitions }, (_, partition) => `${what} ${partition}`);
      expect(owner.told.toSorted()).toEqual([...each('give'), ...each('take')].toSorted());
    });

    it('is closed when all that was under way has ended', async () => {
      const of = await fresh();
      const ended = Promise.withResolvers<void>();
      const giving = Promise.withResolvers<void>();
      const owner = new (class extends NotingOwner {
        override async give(partition: number): Promise<void> {
          giving.resolve();
          await ended.promise;
          await super.give(partition);
        }
      })();
      const { ownership } = await join(of, owner);
      await owner.has(of.partitions);
      let closed = false;
      const closing = ownership.close().then(() => (closed = true));
      await giving.promise;
      // Whoever does not wait is done long before this.
      for (let n = 0; n < 100 && !closed; n++) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(closed).toBe(false);
      ended.resolve();
      await closing;
      expect(owner.owned.size).toBe(0);
    });

    it('is harmless to close when it was never open', async () => {
      const of = await fresh();
      await of.join().close();
    });

    it.skipIf(options.once)(`tries again to take what could not be taken${because(options.once)}`, async () => {
      const of = await fresh();
      const tried = new Map<number, number>();
      const owner = new (class extends NotingOwner {
        override take(partition: number): Promise<void> {
          const tries = (tried.get(partition) ?? 0) + 1;
          tried.set(partition, tries);
          return tries <= partition % 3 ? Promise.reject(new Error('not yet')) : super.take(partition);
        }
      })();
      await join(of, owner);
      await owner.has(of.partitions);
      expect([...tried].every(([partition, tries]) => tries === (partition % 3) + 1)).toBe(true);
    });

    describe.skipIf(options.alone)(`among several${because(options.alone)}`, () => {
      it('shares evenly, and leaves alone what stays where it is', async () => {
        const of = await fresh();
        const first = await join(of);
        await first.owner.has(of.partitions);
        const second = await join(of);
        await evenlyShared([first.owner, second.owner], of.partitions);
        const third = await join(of);
        const owners = [first.owner, second.owner, third.owner];
        await evenlyShared(owners, of.partitions);
        // Everyone only ever gave up what another needed: nothing was taken a second time.
        for (const { told } of owners) expect(new Set(told).size).toBe(told.length);
        expect(third.owner.told).toHaveLength(third.owner.owned.size);
      });

      it('hands over what one leaves, and touches nothing else', async () => {
        const of = await fresh();
        const members = [await join(of), await join(of), await join(of)] as const;
        const owners = members.map(({ owner }) => owner);
        await evenlyShared(owners, of.partitions);
        const [goes, ...stay] = members;
        const before = stay.map(({ owner }) => [...owner.owned]);
        const given = owners.map(({ told }) => told.filter((line) => line.startsWith('give')).length);
        await goes.ownership.close();
        await evenlyShared(
          stay.map(({ owner }) => owner),
          of.partitions,
        );
        for (const [index, { owner }] of stay.entries()) {
          expect([...owner.owned]).toEqual(expect.arrayContaining(before[index] ?? []));
          expect(owner.told.filter((line) => line.startsWith('give'))).toHaveLength(given[index + 1] ?? 0);
        }
      });
    });
  });
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : ` (not kept: ${reason})`;
}

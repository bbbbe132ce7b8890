import fc from 'fast-check';
import { expect, it } from 'vitest';
import { assign, type GroupMember } from './partitions.assign.js';

const anyMembers = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 9 })
  .chain((ids) =>
    fc.tuple(
      ...ids.map((id) =>
        fc.record({ id: fc.constant(id), owned: fc.array(fc.integer({ min: -1, max: 30 })), generation: fc.nat(3) }),
      ),
    ),
  );
const owner = (members: readonly GroupMember[], partition: number) =>
  members.filter(({ owned }) => owned.includes(partition)).sort((a, b) => b.generation - a.generation);

it('gives every partition to one member, evenly, whatever they hold', () =>
  fc.assert(
    fc.property(anyMembers, fc.nat(25), (members, partitions) => {
      const shares = [...assign(members, partitions).values()];
      expect(shares).toHaveLength(members.length);
      if (members.length === 0) return;
      expect(shares.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: partitions }, (_, n) => n));
      const sizes = shares.map(({ length }) => length);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }),
  ));

it('moves no more than it must when members come and go', () =>
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 8 }),
      fc.nat(25),
      (before, after, partitions) => {
        const ids = (count: number) => Array.from({ length: count }, (_, n) => `member ${n}`);
        const first = assign(
          ids(before).map((id) => ({ id, owned: [], generation: -1 })),
          partitions,
        );
        const held = ids(after).map((id) => ({ id, owned: first.get(id) ?? [], generation: 1 }));
        const second = assign(held, partitions);
        const most = Math.ceil(partitions / after);
        const least = Math.floor(partitions / after);
        for (const { id, owned } of held) {
          const stays = owned.filter((partition) => second.get(id)?.includes(partition));
          expect(stays.length).toBeGreaterThanOrEqual(
            Math.min(owned.length, owned.length >= most && most > least ? least : most),
          );
        }
      },
    ),
  ));

it('believes the later of two that hold the same', () =>
  fc.assert(
    fc.property(fc.boolean(), (swapped) => {
      const [a, b] = swapped ? ['b', 'a'] : ['a', 'b'];
      const members = [
        { id: a, owned: [0, 1], generation: 3 },
        { id: b, owned: [0, 1, 2, 3], generation: 2 },
      ];
      expect(owner(members, 0)[0]?.id).toBe(a);
      expect(assign(members, 4)).toEqual(
        new Map([
          [a, [0, 1]],
          [b, [2, 3]],
        ]),
      );
    }),
  ));

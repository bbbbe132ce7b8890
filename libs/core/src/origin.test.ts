import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasBeenHere, noteOrigin, sourceName, type Origins, type Source } from './origin.js';

const event = (offset: number, partition = 0): Source => ({ topic: 'events', partition, offset });
const noted = (...takes: readonly (readonly [Source, string])[]): Origins =>
  takes.reduce<Origins>((origins, [source, id]) => noteOrigin(origins, source, id), {});

describe('what came from a source', () => {
  it('has been here when it stands before what was taken last, or is that', () => {
    const origins = noted([event(7), 'a']);
    expect(hasBeenHere(origins, event(7), 'a')).toBe(true);
    expect(hasBeenHere(origins, event(6), 'other')).toBe(true);
    expect(hasBeenHere(origins, event(8), 'a')).toBe(false);
  });

  it('may be for several: each is new once', () => {
    const one = noted([event(7), 'a']);
    expect(hasBeenHere(one, event(7), 'b')).toBe(false);
    const both = noteOrigin(one, event(7), 'b');
    expect([hasBeenHere(both, event(7), 'a'), hasBeenHere(both, event(7), 'b')]).toEqual([true, true]);
  });

  it('is told by topic and partition', () => {
    const origins = noted([event(7), 'a']);
    expect(hasBeenHere(origins, event(3, 1), 'a')).toBe(false);
    expect(hasBeenHere(origins, { ...event(3), topic: 'commands' }, 'a')).toBe(false);
    expect(sourceName({ topic: 'commands', partition: 3 })).toBe('c3');
  });
});

it('each is taken once, however often a stretch is posted again', () => {
  const posts = fc.array(fc.record({ offset: fc.nat(8), runs: fc.uniqueArray(fc.constantFrom('a', 'b', 'c')) }));
  fc.assert(
    fc.property(
      posts,
      fc.array(fc.tuple(fc.nat(20), fc.nat(20))),
      fc.subarray(['a', 'b', 'c']),
      (given, repeats, known) => {
        // As the intake posts them: by offset, each with the same runs whenever it is posted.
        const inOrder = [...new Map(given.map((post) => [post.offset, post])).values()].sort(
          (x, y) => x.offset - y.offset,
        );
        // Whoever posts again begins somewhere before what has been posted, and goes on in order.
        const stretches = repeats.map(([from, to]) => {
          const start = Math.min(from, inOrder.length);
          return inOrder.slice(start, Math.max(start, to));
        });
        const taken: string[] = [];
        let origins: Origins = {};
        for (const stretch of [inOrder, ...stretches]) {
          for (const { offset, runs } of stretch) {
            for (const run of runs) {
              const id = `${offset}${run}`;
              if (hasBeenHere(origins, event(offset), id)) {
                // An aggregate that still knows itself is asked, and its origin noted once more.
                if (known.includes(run)) origins = noteOrigin(origins, event(offset), id);
                continue;
              }
              origins = noteOrigin(origins, event(offset), id);
              taken.push(id);
            }
          }
        }
        expect(taken).toEqual(inOrder.flatMap(({ offset, runs }) => runs.map((run) => `${offset}${run}`)));
      },
    ),
  );
});

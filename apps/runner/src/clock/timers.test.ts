import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '#testkit/manual-clock.js';
import { Timers } from './timers.js';

describe('timers', () => {
  it('ring once each, never early, in the order of their time', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ id: fc.nat(10), inMs: fc.nat(100), clear: fc.boolean(), turn: fc.nat(40) }), {
          maxLength: 40,
        }),
        async (moves) => {
          const clock = new ManualClock(0);
          const rung: { id: string; at: number; now: number }[] = [];
          const timers = new Timers<{ id: string; at: number }>(clock, (due) =>
            rung.push(...due.map((it) => ({ ...it, now: clock.now() }))),
          );
          const expected = new Map<string, number>();
          const told: string[] = [];
          for (const { id, inMs, clear, turn } of moves) {
            const name = `t${id}`;
            if (clear) {
              timers.clear(name);
              expected.delete(name);
            } else {
              const at = clock.now() + inMs;
              timers.set(name, at, { id: name, at });
              expected.set(name, at);
            }
            await clock.turn(turn);
            for (const [key, at] of [...expected].sort((a, b) => a[1] - b[1])) {
              if (at > clock.now()) continue;
              told.push(`${key}@${at}`);
              expected.delete(key);
            }
          }
          expect(rung.map(({ id, at }) => `${id}@${at}`).sort()).toEqual(told.sort());
          expect(rung.every(({ at, now }) => now >= at)).toBe(true);
          expect(timers.size).toBe(expected.size);
        },
      ),
      { numRuns: 300 },
    ));
});

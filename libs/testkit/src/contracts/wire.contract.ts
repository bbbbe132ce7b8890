import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Wire } from '#ports/wire.port.js';

export interface WireUnderTest {
  readonly wire: Wire;
  /** The same wire as another process has it. */
  readonly elsewhere: Wire;
  dispose(): Promise<void>;
}

/** What a Wire promises while nothing goes wrong, whatever it is made of. */
export function wireContract(name: string, open: () => Promise<WireUnderTest>): void {
  describe(`${name} as a Wire`, () => {
    let under: WireUnderTest;
    beforeEach(async () => {
      under = await open();
    });
    afterEach(() => under.dispose());

    it('is heard by all who listen, in the order in which it was said', async () => {
      const { wire, elsewhere } = under;
      const heard: string[][] = [[], [], []];
      await elsewhere.listen('a', (message) => heard[0]?.push(message));
      await elsewhere.listen('a', (message) => heard[1]?.push(message));
      await wire.listen('a', (message) => heard[2]?.push(message));
      const said = Array.from({ length: 100 }, (_, n) => (n % 2 ? `${n}` : `${n} 🌍\n"`));
      await Promise.all(said.map((message) => wire.say('a', message)));
      await vi.waitFor(() => expect(heard.map(({ length }) => length)).toEqual([100, 100, 100]));
      expect(heard).toEqual([said, said, said]);
    });

    it('keeps channels apart', async () => {
      const { wire, elsewhere } = under;
      const heard: string[] = [];
      await elsewhere.listen('a', (message) => heard.push(`a: ${message}`));
      await elsewhere.listen('a*', (message) => heard.push(`a*: ${message}`));
      await wire.say('ab', 'nobody');
      await wire.say('a*', '1');
      await wire.say('a', '2');
      await vi.waitFor(() => expect(heard).toContain('a: 2'));
      expect(heard).toEqual(['a*: 1', 'a: 2']);
    });

    it('is not heard by who has stopped, nor by who comes later', async () => {
      const { wire, elsewhere } = under;
      const heard: string[] = [];
      const hear = (message: string): void => void heard.push(message);
      const stop = await elsewhere.listen('a', hear);
      const stopTwin = await elsewhere.listen('a', hear);
      await wire.say('a', '1');
      await vi.waitFor(() => expect(heard).toEqual(['1', '1']));
      stop();
      stop();
      await wire.say('a', '2');
      await vi.waitFor(() => expect(heard).toEqual(['1', '1', '2']));
      stopTwin();
      await wire.say('a', '3');
      const stopLast = await elsewhere.listen('a', hear);
      await wire.say('a', '4');
      await vi.waitFor(() => expect(heard).toContain('4'));
      expect(heard).toEqual(['1', '1', '2', '4']);
      stopLast();
    });

    it('gives who begins to listen nothing that was said before, even if it is still on its way', async () => {
      const { wire, elsewhere } = under;
      await elsewhere.listen('a', () => undefined);
      const heard: string[] = [];
      for (let n = 0; n < 100; n++) {
        await wire.say('a', `before ${n}`);
        const stop = await elsewhere.listen('a', (message) => heard.push(message));
        await wire.say('a', `after ${n}`);
        await vi.waitFor(() => expect(heard).toHaveLength(n + 1), { interval: 1 });
        stop();
      }
      expect(heard).toEqual(Array.from({ length: 100 }, (_, n) => `after ${n}`));
    });

    it('lets what nobody hears go', async () => {
      await under.wire.say('nowhere', 'x');
    });
  });
}

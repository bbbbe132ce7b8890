import { expect, it } from 'vitest';
import { wireContract } from '#testkit/contracts/wire.contract.js';
import { MemoryWire } from './memory-wire.js';

wireContract('MemoryWire', () => {
  const wire = new MemoryWire();
  return Promise.resolve({ wire, elsewhere: wire, dispose: () => Promise.resolve() });
});

it('MemoryWire keeps nothing of those who have stopped', async () => {
  const wire = new MemoryWire();
  const stops = await Promise.all(['a', 'a', 'b'].map((channel) => wire.listen(channel, () => undefined)));
  for (const stop of stops) stop();
  expect(wire).toEqual(new MemoryWire());
});

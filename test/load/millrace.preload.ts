// Loaded into a process that is measured from inside: collects garbage and says what is left, or profiles itself for a while.
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';

export type Wish =
  { readonly kind: 'collect' } | { readonly kind: 'profile' } | { readonly kind: 'profiled'; readonly file: string };

const session = new Session();

async function fulfil(wish: Wish): Promise<unknown> {
  switch (wish.kind) {
    case 'collect':
      globalThis.gc?.();
      return process.memoryUsage();
    case 'profile':
      session.connect();
      await session.post('Profiler.enable');
      await session.post('Profiler.start');
      return null;
    case 'profiled': {
      const { profile } = await session.post('Profiler.stop');
      writeFileSync(wish.file, JSON.stringify(profile));
      session.disconnect();
      return null;
    }
  }
}

process.on('message', (wish: Wish) => void fulfil(wish).then((answer) => process.send?.(answer)));
process.channel?.unref();

import { inject } from 'vitest';
import type { ServiceUrls } from './all.services.js';

declare module 'vitest' {
  export interface ProvidedContext {
    services: ServiceUrls;
  }
}

/**
 * Where the services are that the tests share: every test takes names of its own there.
 * @throws in a test that does not belong to the project `services`
 */
export function services(): ServiceUrls {
  const urls = inject('services') as ServiceUrls | undefined;
  if (!urls) {
    throw new Error(
      'No services here: a test that needs one is called *.services.test.ts, and is run by "vitest run --project services".',
    );
  }
  return urls;
}

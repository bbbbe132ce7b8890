import type { RequestListener } from 'node:http';
import type { Lacking } from './readiness.js';

/** What `/health` and its siblings say. */
export const OK = { status: 200, message: 'OK' } as const;

export function notReady(lacking: readonly Lacking[]) {
  return { status: 503, message: 'not ready', waiting_for: lacking } as const;
}

/** While a server starts, which may take its time, it is alive and not ready. All else waits. @returns whether it was answered */
export function answerWhileStarting(...[request, response]: Parameters<RequestListener>): boolean {
  const path = request.url?.split('?')[0];
  if (request.method !== 'GET' || (path !== '/health/live' && path !== '/health/ready')) return false;
  const body = path === '/health/live' ? OK : notReady([{ name: 'starting', reason: 'the process has just begun' }]);
  response.writeHead(body.status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  return true;
}

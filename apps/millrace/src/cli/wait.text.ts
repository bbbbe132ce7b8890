import type { QueuedView } from '#apps/api/src/functions/queue.view.js';
import type { WaitView } from '#apps/api/src/functions/wait.view.js';
import { firstLine } from '../text.js';

const HOLDERS_SHOWN = 3;

/** What a call waits for, in words. */
export function waitText(wait: WaitView): string {
  switch (wait.cause) {
    case 'concurrency':
    case 'run_concurrency': {
      const { limit, in_use, holders, expression, key, scope, place } = wait;
      const what = wait.cause === 'concurrency' ? 'a slot' : 'a run to end';
      const ids = [...holders.slice(0, HOLDERS_SHOWN), ...(holders.length > HOLDERS_SHOWN ? ['…'] : [])].join(', ');
      const by = ids === '' ? '' : ` (${holders.length === 1 ? 'run' : 'runs'} ${ids})`;
      const under = expression === null ? '' : ` under ${keyText(expression, key)}`;
      return `waits for ${what}: ${in_use} of ${limit} in use${under}${scopeText(scope)}${by}, ${ordinalText(place)} in line`;
    }
    case 'throttle': {
      const { limit, period, expression, key, until, place } = wait;
      const under = expression === null ? '' : ` under ${keyText(expression, key)}`;
      return `throttled: the next start${under} may go at ${until} (${limit} per ${period}), ${ordinalText(place)} in line`;
    }
    case 'paused':
      return 'its function is paused';
    case 'turn':
      return `may go: ${ordinalText(wait.place)} in line`;
    default:
      return `waits: ${firstLine((wait as { readonly cause: string }).cause)}`; // Of a newer server.
  }
}

/** A call as it stands. @param step its name; undefined where it enters the function */
export function callText({ status, attempt, at, wait }: QueuedView, step: string | undefined): string {
  const state =
    status === 'running' ? 'under way' : status === 'scheduled' ? `due at ${at}` : wait ? waitText(wait) : 'due';
  return `${step === undefined ? '' : `${firstLine(step, 40)}: `}${state}${attempt === 0 ? '' : `, attempt ${attempt + 1}`}`;
}

/** `event.data.shop = "acme"` */
export function keyText(expression: string, value: string): string {
  return `${firstLine(expression, 80)} = ${firstLine(JSON.stringify(value), 80)}`;
}

export function scopeText(scope: 'fn' | 'env' | 'account'): string {
  return { fn: '', env: ' in the environment', account: ' in the account' }[scope] ?? '';
}

/** `1st`, `12th` */
export function ordinalText(n: number): string {
  const teens = n % 100 >= 11 && n % 100 <= 13;
  const ending = teens ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th');
  return `${n.toLocaleString('en-US')}${ending}`;
}

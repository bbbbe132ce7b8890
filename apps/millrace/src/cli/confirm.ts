import type { Context } from './command.context.js';
import { EXIT, Failure } from './failure.js';

/** Has a person say yes. Where nobody looks on, who wrote the command has. @throws a Failure when they do not */
export async function confirm(question: string, { console, stdin }: Pick<Context, 'console' | 'stdin'>): Promise<void> {
  const input = stdin();
  if (input.isTTY !== true || !console.attended) return;
  console.question(`${question} [y/N] `);
  for await (const chunk of input) {
    if (/^\s*y(es)?\s*$/i.test(chunk.toString('utf8'))) return;
    break;
  }
  throw new Failure(EXIT.failed, 'Nothing was changed.', { next: 'Say y, or give --yes.', code: 'not_confirmed' });
}

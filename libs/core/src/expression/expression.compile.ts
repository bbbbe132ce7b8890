import { parse, Rejected, type Rules } from './expression.parse.js';
import type { Expression } from './expression.tree.js';

/** Why an expression does not compile. Line and column count from 1. */
export interface Flaw {
  readonly reason: string;
  readonly line: number;
  readonly column: number;
  /** For people: the reason, where, and the line with a mark below. */
  readonly text: string;
}

export type Compiled =
  | { readonly expression: Expression; readonly flaw?: undefined }
  | { readonly flaw: Flaw; readonly expression?: undefined };

/** The variables of keys and of a trigger's `if`. */
export const EVENT_ROOTS = ['event'] as const;
/** The variables of waits and cancellations: what triggered the run, and what arrives. */
export const MATCH_ROOTS = ['event', 'async'] as const;

/** Compiles CEL, section 6. The same text by the same rules gives the same object as long as it is remembered. */
export function compile(text: string, rules: Rules): Compiled {
  const key = `${rules.policy} ${rules.roots.join(' ')}\n${text}`;
  const known = remembered.get(key);
  if (known) return remember(key, known);
  return remember(key, compileAnew(text, rules));
}

function compileAnew(text: string, rules: Rules): Compiled {
  try {
    return { expression: { text, root: parse(text, rules) } };
  } catch (error) {
    if (error instanceof Rejected) return { flaw: flawOf(text, error) };
    throw error;
  }
}

const LINE_CHARS_SHOWN = 200;

function flawOf(text: string, { reason, offset }: Rejected): Flaw {
  const before = text.slice(0, offset).split('\n');
  const line = before.length;
  const column = (before.at(-1)?.length ?? 0) + 1;
  const source = text.split('\n')[line - 1] ?? '';
  const from = Math.max(0, column - LINE_CHARS_SHOWN / 2);
  const shown = source.slice(from, from + LINE_CHARS_SHOWN);
  const mark = ' '.repeat(column - 1 - from) + '^';
  return { reason, line, column, text: `ERROR: <input>:${line}:${column}: ${reason}\n | ${shown}\n | ${mark}` };
}

/** What was compiled lately, the least recently used first. Bounded by the length of the texts: trees take some 40 bytes a character. */
const remembered = new Map<string, Compiled>();
let rememberedChars = 0;
const REMEMBERED_CHARS_MAX = 250_000;

function remember(key: string, compiled: Compiled): Compiled {
  if (!remembered.delete(key)) rememberedChars += key.length;
  remembered.set(key, compiled);
  for (const oldest of remembered.keys()) {
    if (rememberedChars <= REMEMBERED_CHARS_MAX) break;
    remembered.delete(oldest);
    rememberedChars -= oldest.length;
  }
  return compiled;
}

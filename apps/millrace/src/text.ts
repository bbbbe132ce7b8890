import { createColors } from 'picocolors';

export type Colors = ReturnType<typeof createColors>;

/** Colours where a person looks on, unless they said no: https://no-color.org. */
export function colorsFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv, wanted: boolean): Colors {
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0';
  return createColors(wanted && !env['NO_COLOR'] && env['TERM'] !== 'dumb' && (forced || stream.isTTY === true));
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A length of time for people: `35 ms`, `1.2 s`, `2 min 5 s`, `3 h 12 min`, `2 d 4 h`. */
export function lengthText(ms: number): string {
  if (ms < SECOND) return `${Math.round(Math.max(0, ms))} ms`;
  if (ms < MINUTE) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < HOUR) return twoUnits(ms, MINUTE, 'min', SECOND, 's');
  if (ms < DAY) return twoUnits(ms, HOUR, 'h', MINUTE, 'min');
  return twoUnits(ms, DAY, 'd', HOUR, 'h');
}

function twoUnits(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % large) / small);
  return `${Math.floor(ms / large)} ${largeName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`;
}

/** `1,240 runs`, `1 run`. */
export function countText(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}

/** The first line of a text, of bounded length, and nothing in it that a terminal would take as an order. */
export function firstLine(text: string, charsMax = 200): string {
  const line = /[^\r\n]*/.exec(text.trimStart())?.[0] ?? '';
  return printable(line.length > charsMax ? `${line.slice(0, charsMax - 1)}…` : line);
}

/** What apps and users wrote, without control characters: a terminal obeys them. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
}

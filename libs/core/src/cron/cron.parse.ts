import { LIMITS } from '../limits.js';

/** A cron trigger, ready to be asked for its ticks. Field values rise and have no doubles. */
export interface Cron {
  /** IANA name. */
  readonly zone: string;
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly monthDays: readonly number[];
  /** 1 to 12. */
  readonly months: readonly number[];
  /** 0 is Sunday. */
  readonly weekDays: readonly number[];
  /** Both day fields are restricted: a day fits when one of them does. Otherwise it must fit both. */
  readonly eitherDay: boolean;
}

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Three-letter names of the values from `min` on. */
  readonly names?: readonly string[];
}

const FIELDS = {
  minutes: { name: 'minute', min: 0, max: 59 },
  hours: { name: 'hour', min: 0, max: 23 },
  monthDays: { name: 'day of month', min: 1, max: 31 },
  months: {
    name: 'month',
    min: 1,
    max: 12,
    names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  },
  weekDays: { name: 'day of week', min: 0, max: 6, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
} as const satisfies Record<string, Field>;

const ZONE_PREFIX = /^(?:CRON_)?TZ=(\S*)(?:\s+|$)/;

/** What is wrong with a text; its message is a sentence for the user. */
class Mistake extends Error {}

/**
 * Reads a cron expression. Contract: semantics 5.2.
 *     [TZ=Zone |CRON_TZ=Zone ]minute hour day-of-month month day-of-week
 * A field is a list of `*`, `?`, `n`, `a-b`, each with an optional `/step`; `n/step` runs from n to the field's end. Months and days of the
 * week also have names. A step above 1 restricts a day field; `*`, `?` and `*``/1` do not.
 * @returns the cron, or why there is none
 */
export function parseCron(text: string): Cron | { readonly mistake: string } {
  try {
    return read(text);
  } catch (error) {
    if (error instanceof Mistake) return { mistake: error.message };
    throw error;
  }
}

function read(text: string): Cron {
  if (text.length > LIMITS.cronCharsMax) throw new Mistake(`It is longer than ${LIMITS.cronCharsMax} characters.`);
  const plain = text.trim();
  const prefix = ZONE_PREFIX.exec(plain);
  const parts = plain
    .slice(prefix?.[0].length ?? 0)
    .split(/\s+/)
    .filter((part) => part !== '');
  if (parts[0]?.startsWith('@')) throw new Mistake('Descriptors such as @hourly are not known: write the five fields.');
  const [minute, hour, monthDay, month, weekDay] = parts;
  if (parts.length !== 5 || !minute || !hour || !monthDay || !month || !weekDay) {
    throw new Mistake(
      `It must have five fields (minute, hour, day of month, month, day of week), not ${parts.length}.`,
    );
  }
  const monthDays = readField(monthDay, FIELDS.monthDays);
  const weekDays = readField(weekDay, FIELDS.weekDays);
  return {
    zone: prefix ? readZone(prefix[1] ?? '') : 'UTC',
    minutes: readField(minute, FIELDS.minutes).values,
    hours: readField(hour, FIELDS.hours).values,
    monthDays: monthDays.values,
    months: readField(month, FIELDS.months).values,
    weekDays: weekDays.values,
    eitherDay: monthDays.restricted && weekDays.restricted,
  };
}

function readField(text: string, field: Field): { readonly values: readonly number[]; readonly restricted: boolean } {
  const values = new Set<number>();
  let restricted = true;
  for (const item of text.split(',')) {
    const { from, to, step, open } = readItem(item, field);
    if (open && step === 1) restricted = false;
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return { values: [...values].sort((a, b) => a - b), restricted };
}

function readItem(
  item: string,
  field: Field,
): { readonly from: number; readonly to: number; readonly step: number; readonly open: boolean } {
  const [range = '', stepText, ...more] = item.split('/');
  const bounds = range.split('-');
  if (item === '' || more.length > 0 || bounds.length > 2) {
    throw new Mistake(`"${item}" is no value, range or step of the ${field.name}.`);
  }
  const step = stepText === undefined ? 1 : readStep(stepText, field);
  if (range === '*' || range === '?') return { from: field.min, to: field.max, step, open: true };
  const from = readValue(bounds[0] ?? '', field);
  if (bounds[1] === undefined) return { from, to: stepText === undefined ? from : field.max, step, open: false };
  const to = readValue(bounds[1], field);
  if (from > to) throw new Mistake(`The range "${range}" of the ${field.name} runs backwards.`);
  return { from, to, step, open: false };
}

function readStep(text: string, field: Field): number {
  const step = /^\d+$/.test(text) ? Number(text) : 0;
  if (step < 1) throw new Mistake(`The step "${text}" of the ${field.name} must be a whole number from 1 on.`);
  return step;
}

function readValue(text: string, field: Field): number {
  const named = field.names?.indexOf(text.toLowerCase()) ?? -1;
  const value = named >= 0 ? named + field.min : /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) throw new Mistake(`"${text}" is no ${field.name}.`);
  if (value < field.min || value > field.max) {
    throw new Mistake(`The ${field.name} must lie in ${field.min} to ${field.max}, and ${text} does not.`);
  }
  return value;
}

/** Names that were asked for, in lower case, and what the runtime calls them: a formatter is dear to make. */
const zones = new Map<string, string>();

function readZone(name: string): string {
  const known = zones.get(name.toLowerCase());
  if (known !== undefined) return known;
  const zone = zoneOf(name);
  if (zone === undefined) throw new Mistake(`The time zone "${name}" is unknown.`);
  zones.set(name.toLowerCase(), zone);
  return zone;
}

/** Offsets such as `+02:00`, which the runtime also knows, are no zone names. */
function zoneOf(name: string): string | undefined {
  if (!/^[A-Za-z]/.test(name)) return undefined;
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }).resolvedOptions().timeZone;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

import { parseDuration } from './duration.js';

/**
 * Reads a JSON object from outside field by field, and notes what does not fit, as `functions[2].name: must be a text`. Names match in any
 * letter case (an exact match first), null and "" count as absent: SDKs differ in both. Unknown fields are passed over.
 */
export class FieldReader {
  constructor(
    private readonly fields: Readonly<Record<string, unknown>>,
    readonly path: string,
    private readonly mistakes: string[],
  ) {}

  get names(): readonly string[] {
    return Object.keys(this.fields);
  }

  has(name: string): boolean {
    return this.raw(name) !== undefined;
  }

  /** Whether there is a value other than "". */
  says(name: string): boolean {
    return this.has(name) && this.raw(name) !== '';
  }

  raw(name: string): unknown {
    const exact = Object.hasOwn(this.fields, name) ? name : undefined;
    const found = exact ?? this.names.find((other) => other.toLowerCase() === name.toLowerCase());
    return found === undefined ? undefined : (this.fields[found] ?? undefined);
  }

  pathOf(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`;
  }

  /** Notes a mistake in a field. */
  note(name: string, sentence: string): undefined {
    this.mistakes.push(`${this.pathOf(name)}: ${sentence}`);
  }

  /** Notes a mistake in the object itself. */
  noteAll(sentence: string): undefined {
    this.mistakes.push(`${this.path}: ${sentence}`);
  }

  text(name: string): string | undefined {
    if (!this.says(name)) return undefined;
    const value = this.raw(name);
    return typeof value === 'string' ? value : this.note(name, 'must be a text');
  }

  whole(name: string): number | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    return Number.isSafeInteger(value) ? (value as number) : this.note(name, 'must be a whole number');
  }

  /** ms; see `parseDuration`. */
  duration(name: string, goUnits = false): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const example = goUnits ? '"30s" or "1h30m", without days or weeks' : '"30s" or "1h30m"';
    return parseDuration(value, goUnits) ?? this.note(name, `must be a length of time such as ${example}`);
  }

  object(name: string): FieldReader | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    return isObject(value)
      ? new FieldReader(value, this.pathOf(name), this.mistakes)
      : this.note(name, 'must be an object');
  }

  /** The objects of a list; none when it is absent. An item that is no object is noted and left out. */
  objects(name: string): readonly FieldReader[] {
    const value = this.raw(name) ?? [];
    if (!Array.isArray(value)) {
      this.note(name, 'must be a list');
      return [];
    }
    return value.flatMap((item: unknown, index) => {
      const path = `${this.pathOf(name)}[${index}]`;
      if (isObject(item)) return [new FieldReader(item, path, this.mistakes)];
      this.mistakes.push(`${path}: must be an object`);
      return [];
    });
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The same object without the members that are undefined. */
export function compact<T extends object>(members: {
  readonly [K in keyof T]: object extends Pick<T, K> ? T[K] | undefined : T[K];
}): T {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T;
}

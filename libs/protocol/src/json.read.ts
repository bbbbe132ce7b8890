/** What came from outside: looked at by name, never trusted for its shape. */
export type Fields = Readonly<Record<string, unknown>>;

/** The fields of a JSON object; none for anything else. */
export function fieldsOf(value: unknown): Fields {
  return isObject(value) ? value : {};
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text that says something; null, as Python and Go write what is not set, counts as nothing. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The value of a JSON text; undefined when it is none. A byte order mark and white space around it, as streams have, do not matter. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text.trim());
  } catch {
    return undefined;
  }
}

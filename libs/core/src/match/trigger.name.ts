/**
 * What a trigger's name stands for, section 5.1: itself; or, where it ends in `*` directly after `/` or `.`, every longer
 * name that begins like it. Any other `*` is a character.
 */
export function prefixOf(pattern: string): string | undefined {
  return /[/.]\*$/.test(pattern) ? pattern.slice(0, -1) : undefined;
}

export function matchesName(pattern: string, name: string): boolean {
  const prefix = prefixOf(pattern);
  return prefix === undefined ? pattern === name : name.length > prefix.length && name.startsWith(prefix);
}

/** The prefixes that a name may match by: one ends at each separator that something follows. */
export function prefixesOf(name: string, charsMax: number): readonly string[] {
  const prefixes: string[] = [];
  const last = Math.min(charsMax, name.length - 1);
  for (let i = 0; i < last; i++) if (name[i] === '/' || name[i] === '.') prefixes.push(name.slice(0, i + 1));
  return prefixes;
}

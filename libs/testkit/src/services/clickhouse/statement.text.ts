/** A string as ClickHouse reads it in a statement. */
export function literal(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}

/** Texts, quoted names and comments, whole, or a semicolon. */
const TOKENS = /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|--[^\n]*|\/\*.*?\*\/|;/gs;
/** What comes after it is data. */
const INSERT = /^\s*INSERT\b.*?\b(FORMAT\s+\w+|VALUES)\b/is;

/** Whether there is another statement behind a semicolon, which the HTTP interface does not take. */
export function hasMoreThanOne(sql: string): boolean {
  const statement = INSERT.exec(sql)?.[0] ?? sql;
  for (const token of statement.matchAll(TOKENS)) {
    if (token[0] !== ';') continue;
    const rest = statement.slice(token.index + 1).replace(TOKENS, (found) => (/^(--|\/\*|;)/.test(found) ? '' : found));
    return rest.trim() !== '';
  }
  return false;
}

import { ROWS, variable, type Row } from '#platform/settings.rows.js';

/** Variables that `start` reads as settings, and those of other libraries that our files set. */
const rows = Object.entries<Row>(ROWS);

/** The setting that a variable of `millrace start` gives; undefined: it gives none. */
export function settingOf(name: string): string | undefined {
  return rows.find(([setting, row]) =>
    [row.variable, variable('MILLRACE', setting), variable('INNGEST', setting)].includes(name),
  )?.[0];
}

/** What of the environment is no setting, and of what is one why it would not be taken. */
export function wrongVariables(environment: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    const setting = settingOf(name);
    if (setting === undefined) return [`${name} is no setting`];
    // A variable that is empty is one that was not given.
    if (value === '') return [];
    const read = (ROWS as Record<string, Row>)[setting]?.schema.safeParse(value);
    return read?.success ? [] : [`${name}=${value}: ${read?.error.issues.map(({ message }) => message).join()}`];
  });
}

/** Settings that are given in the open, and mean something in a cluster whose chart or compose file gives port and roles. */
export const openSettings: readonly string[] = rows
  .filter(([, row]) => !row.secret && row.mode !== 'dev')
  .map(([name]) => name)
  .filter((name) => !['port', 'roles', 'json', 'kafka-tls-ca', 'data-dir', 'verbose'].includes(name));

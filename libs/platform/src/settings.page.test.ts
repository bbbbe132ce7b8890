import { expect, it } from 'vitest';
import { ROWS, variable, type Row } from './settings.rows.js';

const HEAD = `# Settings

Made from the table in libs/platform/src/settings.rows.ts, in its order. A flag goes before a variable, a variable before the file that \`--config\`
names, where a setting has the name of its flag without the dashes. Every \`MILLRACE_\` variable may be called \`INNGEST_\` as well; \`start\` also reads
\`PORT\`. A switch is \`true\` or \`false\` as a variable. Settings without a flag are given by variable or file. Secrets are never shown back, and are
better not given by flag: others see command lines.
`;

/** The settings as a page for people. */
function page(): string {
  const rows = Object.entries<Row>(ROWS).map(([name, row]) => {
    const flag = row.advanced ? '' : `\`--${name}${row.takes === undefined ? '' : ` ${row.takes}`}\``;
    const variables = [...(row.variable === undefined ? [] : [row.variable]), variable('MILLRACE', name)];
    const marks = [...(row.mode === undefined ? [] : [`${row.mode} only`]), ...(row.secret ? ['secret'] : [])];
    return `| \`${name}\` | ${flag} | ${variables.map((one) => `\`${one}\``).join(', ')} | ${marks.join(', ')} | ${row.about} |`;
  });
  return [
    HEAD,
    '| setting | flag | variable | | what it is (what it is when not given) |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

it('has a page that says what there is', () => expect(page()).toMatchFileSnapshot('../../../docs/settings.md'));

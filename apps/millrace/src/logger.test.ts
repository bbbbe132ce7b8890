import { expect, it } from 'vitest';
import { ROLES, type Role } from '#platform/settings.rows.js';
import { createLogger } from './logger.js';

function written(roles: readonly Role[], json: boolean): string {
  let text = '';
  const logger = createLogger(
    { logLevel: 'info', json, roles },
    { write: (more) => (text += more) },
    { NO_COLOR: '1' },
  );
  logger.warn({ runId: 'R1', partition: 3 }, 'something happened');
  return text;
}

it('says of which process of a cluster a line is', () => {
  const line = JSON.parse(written(['runner', 'executor'], true)) as Record<string, unknown>;
  expect(line).toMatchObject({
    level: 'warn',
    roles: 'runner,executor',
    runId: 'R1',
    partition: 3,
    msg: 'something happened',
  });
  expect(line['process']).toMatch(new RegExp(`^.+/${process.pid}$`));
  expect(written(['runner'], false)).toMatch(/warn +something happened roles=runner process=\S+ runId=R1 partition=3/);
});

it('says nothing of the kind where there is only one', () => {
  expect(JSON.parse(written(ROLES, true))).not.toHaveProperty('process');
  expect(written(ROLES, false)).toMatch(/something happened runId=R1 partition=3\n$/);
});

import { describe, expect, it } from 'vitest';
import { Fault, FAULTS, type Blame, type FaultCode } from './faults.js';

const WHO: Record<Blame, string> = {
  caller: 'The caller: the request will not succeed as it is.',
  race: 'Nobody: somebody else was first. Look again.',
  dependency: 'Time: something that Millrace needs is not there. Try again.',
  us: 'We: it is a defect. What could not be processed is set aside and logged.',
};

/** The page for people, made from the table. */
function page(): string {
  const rows = (Object.keys(FAULTS) as FaultCode[])
    .sort()
    .map((code) => `| \`${code}\` | ${FAULTS[code].status} | ${FAULTS[code].blame} | ${FAULTS[code].sentence} |`);
  return [
    '# Errors',
    '',
    'Every error of the API is JSON with a code: `{"error":"text","data":null,"status":400,"code":"request_invalid"}`. This page is made from the table in',
    '`libs/core/src/faults.ts` (`npx vitest run libs/core/src/faults -u`).',
    '',
    '| blame | who acts next |',
    '|---|---|',
    ...Object.entries(WHO).map(([blame, who]) => `| ${blame} | ${who} |`),
    '',
    '| code | status | blame | what it says |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

describe('faults', () => {
  it('are told on a page that is made from their table', () =>
    expect(page()).toMatchFileSnapshot('../../../docs/errors.md'));

  it('carry code, status and blame, and keep their cause', () => {
    const cause = new Error('disk');
    const fault = new Fault('log_unavailable', { topic: 'events' }, { cause });
    expect(fault).toMatchObject({
      code: 'log_unavailable',
      status: 503,
      blame: 'dependency',
      data: { topic: 'events' },
      cause,
    });
    expect(fault.message).toBe(FAULTS.log_unavailable.sentence);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RunView } from '#apps/api/src/runs/run.view.js';
import { millrace, startMillrace, type Finished, type MillraceOptions } from '#testkit/millrace-process.js';
import { StubApi } from '#testkit/stub-api.js';

const RUN = '01KB00000000000000000000R1';
const OTHER_RUN = '01KB00000000000000000000R2';
const ID = '01KB0000000000000000000001';
const SIGNING_KEY = 'signkey-test-12345678abcdef00112233445566778899aabbccddeeff001122334455667788';

let api: StubApi;
let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'millrace-cli-'))));
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(async () => {
  api = await StubApi.open();
});
afterEach(() => api.close());

/** Runs a command against the server of the test. */
function ask(args: readonly string[], { env, ...options }: MillraceOptions = {}): Promise<Finished> {
  return millrace(args, { ...options, cwd: folder, env: { MILLRACE_URL: api.url, ...env } });
}

function aRun(change: Partial<RunView> = {}): RunView {
  return {
    run_id: RUN,
    run_started_at: '2026-11-22T10:00:00.000Z',
    function_id: 'f',
    function_slug: 'shop-order',
    function_version: 1,
    app_name: 'shop',
    environment_id: 'e',
    event_id: ID,
    event_ids: [ID],
    batch_id: null,
    original_run_id: null,
    cron: null,
    status: 'Completed',
    queued_at: '2026-11-22T10:00:00.000Z',
    started_at: '2026-11-22T10:00:00.100Z',
    ended_at: '2026-11-22T10:00:01.300Z',
    output: { ok: true },
    ...change,
  };
}

const running: Partial<RunView> = { status: 'Running', ended_at: null, output: null };
const failed: Partial<RunView> = {
  status: 'Failed',
  output: { name: 'Error', message: 'card declined', stack: '...' },
};

describe('send', () => {
  it('sends an event and prints its id', async () => {
    const { exit, stdout, stderr } = await ask(['send', 'shop/placed', '-d', '{"orderId":"o-1"}']);
    expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: `${ID}  shop/placed\n`, stderr: '' });
    expect(api.taken).toEqual([
      { key: 'NO_EVENT_KEY_SET', events: [{ name: 'shop/placed', data: { orderId: 'o-1' } }] },
    ]);
  });

  it('sends its id, time and user', async () => {
    const flags = ['--id', 'order-1', '--ts', '2026-11-22T10:00:00Z', '--user', '{"id":7}'];
    expect(await ask(['send', 'shop/placed', ...flags])).toMatchObject({ exit: 0 });
    const ts = Date.UTC(2026, 10, 22, 10);
    expect(api.taken[0]?.events).toEqual([{ name: 'shop/placed', data: {}, id: 'order-1', ts, user: { id: 7 } }]);
  });

  it('reads lines of data, a file of events, a list', async () => {
    expect(await ask(['send', 'a/b', '-'], { stdin: '{"n":1}\n\n{"n":2}' })).toMatchObject({ exit: 0 });
    writeFileSync(join(folder, 'events.json'), JSON.stringify([{ name: 'x', data: { n: 3 } }, { name: 'y' }]));
    expect(await ask(['send', '-f', 'events.json'])).toMatchObject({
      exit: 0,
      stdout: expect.stringMatching(/x\n.*y\n/) as unknown,
    });
    writeFileSync(join(folder, 'events.ndjson'), '{"name":"z"}\n');
    expect(await ask(['send', '--file', 'events.ndjson'])).toMatchObject({ exit: 0 });
    expect(await ask(['send', '-'], { stdin: '{"name":"é","data":{"a":"\u{1f600}"}}' })).toMatchObject({ exit: 0 });
    expect(api.taken.flatMap(({ events }) => events)).toEqual([
      { name: 'a/b', data: { n: 1 } },
      { name: 'a/b', data: { n: 2 } },
      { name: 'x', data: { n: 3 } },
      { name: 'y' },
      { name: 'z' },
      { name: 'é', data: { a: '\u{1f600}' } },
    ]);
  });

  it('sends many in large pieces, and each as it comes from a slow source', async () => {
    const stdin = Array.from({ length: 1_200 }, (_, n) => `{"n":${n}}\n`).join('');
    const { exit, stdout } = await ask(['send', 'a/b', '-', '--json'], { stdin });
    expect(exit).toBe(0);
    const { ids, schema } = JSON.parse(stdout) as { ids: string[]; schema: number };
    expect(schema).toBe(1);
    expect(new Set(ids).size).toBe(1_200);
    expect(api.taken.flatMap(({ events }) => events).map(({ data }) => (data as { n: number }).n)).toEqual(
      ids.map((_, n) => n),
    );
    expect(Math.max(...api.taken.map(({ events }) => events.length))).toBeLessThanOrEqual(500);

    const command = startMillrace(['send', 'slow', '-'], {
      env: { MILLRACE_URL: api.url },
      stdin: (input) => input.write('{"n":1}\n'),
    });
    await command.printed('slow');
    command.child.stdin?.end('{"n":2}\n');
    expect(await command.gone).toMatchObject({ exit: 0, stdout: expect.stringMatching(/slow\n.*slow\n/) as unknown });
  });

  it('repeats what the server could not take', async () => {
    let left = 2;
    api.intercept = (line) =>
      line.startsWith('POST') && left-- > 0 ? { status: 503, body: { error: 'busy', status: 503 } } : undefined;
    expect(await ask(['send', 'a/b'])).toMatchObject({ exit: 0, stdout: `${ID}  a/b\n` });
    expect(api.asked).toHaveLength(3);
    expect(api.taken).toHaveLength(1);
  });

  it('sends nothing twice when an answer gets lost', async () => {
    api.answersToLose = 2;
    expect(await ask(['send', 'a/b', '-'], { stdin: '{}\n{}\n' })).toMatchObject({ exit: 0 });
    expect(api.asked).toHaveLength(3);
    expect(api.taken.flatMap(({ events }) => events)).toHaveLength(2);
  });

  it('waits for the runs, and ends as they end', async () => {
    const second = aRun({ run_id: OTHER_RUN, function_slug: 'shop-mail', ended_at: '2026-11-22T10:00:00.135Z' });
    api.runsOfEvent = (_, nth) =>
      [[], [aRun(running)], [aRun(running), second], [aRun(), second]][Math.min(nth, 3)] as RunView[];
    const { exit, stdout } = await ask(['send', 'shop/placed', '--wait']);
    expect(stdout.split('\n')).toEqual([
      `${ID}  shop/placed`,
      `✓ Completed shop-mail ${OTHER_RUN}  in 35 ms`,
      `✓ Completed shop-order ${RUN}  in 1.2 s`,
      '',
    ]);
    expect(exit).toBe(0);

    api.runsOfEvent = () => [aRun(), aRun({ ...failed, run_id: OTHER_RUN })];
    const json = await ask(['send', 'shop/placed', '--wait', '--json']);
    expect(json.exit).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      schema: 1,
      ids: [expect.any(String)],
      runs: [{ status: 'Completed' }, { status: 'Failed' }],
    });
  });

  it('waits for a run that shows up after another has ended', async () => {
    const late = aRun({ ...running, run_id: OTHER_RUN });
    api.runsOfEvent = (_, nth) =>
      nth === 0 ? [aRun()] : [aRun(), nth === 1 ? late : aRun({ ...failed, run_id: OTHER_RUN })];
    const { exit, stdout } = await ask(['send', 'shop/placed', '--wait']);
    expect(stdout).toContain(`✗ Failed shop-order ${OTHER_RUN}  in 1.2 s  Error: card declined`);
    expect(exit).toBe(1);
  });

  it('does not wait for ever', async () => {
    api.runsOfEvent = () => [aRun(running)];
    const { exit, stderr } = await ask(['send', 'shop/placed', '--wait', '--timeout', '1s']);
    expect(exit).toBe(5);
    expect(stderr).toContain('error: Time is up.');
  });

  it('ends with 130 when it is interrupted', async () => {
    api.runsOfEvent = () => [aRun(running)];
    const command = startMillrace(['send', 'shop/placed', '--wait'], { env: { MILLRACE_URL: api.url } });
    await command.printed(ID);
    command.child.kill('SIGINT');
    expect(await command.gone).toMatchObject({
      exit: 130,
      stderr: 'Interrupted. What was asked for goes on in the server.\n',
    });
  });

  it('says when no run came of it', async () => {
    const { exit, stderr } = await ask(['send', 'shop/placed', '--wait']);
    expect(exit).toBe(3);
    expect(stderr).toContain(`No run started for event ${ID}.`);
  });

  it.each([
    ['no JSON', ['send', 'a', '-d', '{'], 'Cannot read --data: it is not JSON'],
    [
      'data that are no object',
      ['send', 'a', '-d', '3'],
      'Cannot send --data: the data of an event must be a JSON object.',
    ],
    [
      'an event without a name',
      ['send', '-d', '{"data":{}}'],
      'Cannot send --data: an event is a JSON object with a name.',
    ],
    ['nothing', ['send'], 'Give the name of an event'],
    ['two sources', ['send', 'a', '-', '-d', '{}'], 'Give one of --data, --file and -.'],
    ['a second word', ['send', 'a', 'b'], 'Unknown argument "b"'],
    ['a missing file', ['send', '-f', 'none.json'], 'Cannot read none.json: ENOENT'],
    ['a missing file of lines', ['send', '-f', 'none.ndjson'], 'Cannot read none.ndjson: ENOENT'],
    ['a user that is no object', ['send', 'a', '--user', '[]'], '--user must be a JSON object, not [].'],
    ['a time that is none', ['send', 'a', '--ts', 'soon'], '--ts must be a time'],
    ['an id for several', ['send', 'a', '--id', 'x', '-d', '[{},{}]'], '--id is for one event at most.'],
    ['a wrong length of time', ['send', 'a', '--timeout', 'x'], '--timeout must be a length of time'],
    ['a wrong key', ['send', 'a', '--signing-key', 'secret'], '--signing-key must be hex digits'],
  ])('refuses %s', async (_, args, sentence) => {
    const { exit, stdout, stderr } = await ask(args);
    expect(stderr).toContain(`error: ${sentence}`);
    expect({ exit, stdout, taken: api.taken }).toEqual({ exit: 2, stdout: '', taken: [] });
  });

  it('says how far it came, and where it stuck', async () => {
    const lines = Array.from({ length: 600 }, (_, n) => JSON.stringify({ name: n < 500 ? 'a' : 'inngest/b' }));
    const { exit, stderr } = await ask(['send', '-'], { stdin: lines.join('\n') });
    expect(exit).toBe(2);
    expect(stderr).toContain('event name is reserved for internal use: inngest/b Before that, 500 events were taken');
    expect(stderr).toContain(
      'None of the 100 events from standard input, line 501 to standard input, line 600 was taken.',
    );
    const unreadable = await ask(['send', 'a', '-'], { stdin: '{}\n{"x":\n1}' });
    expect(unreadable.stderr).toContain('Cannot read standard input, line 2: it is not JSON');
    expect(unreadable.stderr).toContain('jq -c');
  });
});

describe('runs', () => {
  it('lists, newest first as they come', async () => {
    api.runs.set(RUN, aRun());
    api.runs.set(OTHER_RUN, aRun({ ...failed, run_id: OTHER_RUN, function_slug: 'mail' }));
    const { exit, stdout, stderr } = await ask(['runs', 'list']);
    expect(stdout.split('\n')).toEqual([
      'STATUS       FUNCTION    RUN                         QUEUED                    TOOK',
      `✓ Completed  shop-order  ${RUN}  2026-11-22 10:00:00.000Z  1.2 s`,
      `✗ Failed     mail        ${OTHER_RUN}  2026-11-22 10:00:00.000Z  1.2 s`,
      '',
    ]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
  });

  it('passes on what it is asked for, and says how to go on', async () => {
    api.runs.set(RUN, aRun());
    const filter = [
      '--status',
      'failed,running',
      '--function',
      'shop-order',
      '--app',
      'shop',
      '--event',
      'shop/placed',
    ];
    const page = ['--from', '2026-11-22', '--until', '1795384800000', '--limit', '1', '--cursor', OTHER_RUN];
    const { exit, stderr } = await ask(['runs', 'list', ...filter, ...page]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: `There may be more: --cursor ${RUN}\n` });
    const { searchParams } = new URL(api.asked[0]?.slice(4) ?? '', api.url);
    expect(Object.fromEntries(searchParams)).toEqual({
      status: 'failed,running',
      function: 'shop-order',
      app: 'shop',
      event: 'shop/placed',
      from: '2026-11-22T00:00:00.000Z',
      until: '2026-11-22T22:00:00.000Z',
      limit: '1',
      cursor: OTHER_RUN,
    });
  });

  it('reads a length of time as so long ago', async () => {
    await ask(['runs', 'list', '--from', '1h']);
    const from = Date.parse(new URL(api.asked[0]?.slice(4) ?? '', api.url).searchParams.get('from') ?? '');
    expect(Date.now() - from).toBeGreaterThanOrEqual(3_600_000);
  });

  it('lists for machines, also nothing', async () => {
    expect(await ask(['runs', 'list', '--json'])).toMatchObject({
      exit: 0,
      stdout: '{"schema":1,"runs":[],"cursor":null}\n',
      stderr: '',
    });
    expect(await ask(['runs', 'list'])).toMatchObject({ exit: 0, stdout: '', stderr: 'No runs that are like this.\n' });
    api.runs.set(RUN, aRun());
    const { stdout } = await ask(['runs', 'list', '--json', '--limit', '1']);
    expect(JSON.parse(stdout)).toEqual({ schema: 1, runs: [aRun()], cursor: RUN });
  });

  it('shows a run with its steps', async () => {
    const at = Date.UTC(2026, 10, 22, 10, 0, 0, 100);
    const step = { stepId: 's', name: 'charge', kind: 'run' };
    const transitions = [
      { type: 'RunStarted', at },
      { type: 'StepPlanned', at: at + 10, ...step, group: 0, race: false },
      { type: 'StepCompleted', at: at + 1_000, ...step, memo: '{}', startedAt: at + 100, attempt: 0 },
    ];
    api.runs.set(RUN, aRun());
    api.transitions.set(RUN, transitions);
    const { exit, stdout } = await ask(['runs', 'get', RUN]);
    expect(exit).toBe(0);
    expect(stdout.split('\n')).toEqual([
      `✓ Completed in 1.2 s  shop-order ${RUN}`,
      '  app       shop',
      `  event     ${ID}`,
      '  queued    2026-11-22T10:00:00.000Z',
      '  started   2026-11-22T10:00:00.100Z after 100 ms',
      '  ended     2026-11-22T10:00:01.300Z',
      '  output    {"ok":true}',
      '',
      '  ✓ charge run    ··██████████████████····   +100 ms    900 ms',
      '',
    ]);
    const json = await ask(['runs', 'get', RUN, '--json']);
    expect(JSON.parse(json.stdout)).toEqual({ schema: 1, run: aRun(), transitions });
  });

  it('says of a held run how its function goes on', async () => {
    const at = '2026-11-22T10:00:00.000Z';
    const call = { step_id: 'step', attempt: 0, status: 'queued', at, wait: { cause: 'paused', place: 1 } } as const;
    api.runs.set(RUN, aRun({ ...running, status: 'Scheduled', started_at: null, queue: [call] }));
    const { exit, stdout, stderr } = await ask(['runs', 'get', RUN]);
    expect(stdout).toContain('  call      its function is paused\n');
    expect({ exit, stderr }).toEqual({
      exit: 0,
      stderr: 'Let its function go on with `millrace functions resume shop-order`.\n',
    });
    expect((await ask(['runs', 'get', RUN, '--json'])).stderr).toBe('');
  });

  it('cancels, and says what had ended before', async () => {
    api.runs.set(RUN, aRun(running));
    api.runs.set(OTHER_RUN, aRun({ run_id: OTHER_RUN }));
    const { exit, stdout } = await ask(['runs', 'cancel', RUN, OTHER_RUN]);
    expect(exit).toBe(0);
    expect(stdout).toBe(`■ Cancelled ${RUN}\n✓ Completed ${OTHER_RUN} (it had ended before)\n`);
    const json = await ask(['runs', 'cancel', RUN, '--json']);
    expect(JSON.parse(json.stdout)).toEqual({
      schema: 1,
      runs: [{ run_id: RUN, status: 'Cancelled', had_ended: true }],
    });
  });

  it.each([['get'], ['cancel']])('%s: ends with 3 when there is no such run', async (verb) => {
    const { exit, stdout, stderr } = await ask(['runs', verb, RUN]);
    expect({ exit, stdout }).toEqual({ exit: 3, stdout: '' });
    expect(stderr).toContain(`error: Unable to load function run: ${RUN}`);
  });

  it.each([
    ['no verb', ['runs'], 'Usage: millrace runs'],
    ['an unknown verb', ['runs', 'lst'], "Unknown command 'lst'"],
    ['no run', ['runs', 'get'], "Missing required argument 'run-id'"],
    ['a wrong limit', ['runs', 'list', '--limit', '0'], '--limit must be a whole number from 1 to 100, not "0".'],
    ['a wrong time', ['runs', 'list', '--from', 'yesterday'], '--from must be a time'],
    ['a wrong URL', ['runs', 'list', '--url', 'ftp://x'], '--url must be an http or https URL'],
    ['an unknown option', ['runs', 'list', '--stat', 'x'], "Unknown option '--stat'"],
  ])('refuses %s', async (_, args, sentence) => {
    const { exit, stdout, stderr } = await ask(args);
    expect(stderr).toContain(sentence);
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
  });
});

describe('a server that does not answer as it should', () => {
  it('is not there', async () => {
    const { url } = api;
    await api.close();
    const { exit, stdout, stderr } = await millrace(['runs', 'list', '--url', url]);
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
    expect(stderr).toContain(`error: No server answers at ${url}.\n  why:  connect ECONNREFUSED`);
    expect(stderr).toContain('next: Start one with `millrace dev`');
    const json = await millrace(['runs', 'list', '--json', '--url', url]);
    expect(JSON.parse(json.stderr)).toMatchObject({
      schema: 1,
      code: 'unreachable',
      error: `No server answers at ${url}.`,
    });
    api = await StubApi.open();
  });

  it('wants keys: they are sent hashed, as SDKs do', async () => {
    api.signingKeys = [SIGNING_KEY];
    api.eventKey = 'e-key';
    const without = await ask(['runs', 'list']);
    expect(without).toMatchObject({ exit: 4, stdout: '' });
    expect(without.stderr).toContain('error: Authentication failed');
    expect(without.stderr).toContain('--signing-key (or MILLRACE_SIGNING_KEY)');
    expect(await ask(['runs', 'list', '--signing-key', SIGNING_KEY])).toMatchObject({ exit: 0 });
    expect(await ask(['runs', 'list'], { env: { INNGEST_SIGNING_KEY: SIGNING_KEY } })).toMatchObject({ exit: 0 });
    expect(await ask(['runs', 'list', '--signing-key', 'abcd'])).toMatchObject({ exit: 4 });
    expect(await ask(['send', 'a'])).toMatchObject({
      exit: 4,
      stderr: expect.stringContaining('Event key not found') as unknown,
    });
    expect(await ask(['send', 'a', '--event-key', 'e-key'])).toMatchObject({ exit: 0 });
    expect(await ask(['send', 'a'], { env: { MILLRACE_EVENT_KEY: 'e-key' } })).toMatchObject({ exit: 0 });
  });

  it('is busy: it is asked again, and then no more', async () => {
    api.intercept = () => ({
      status: 503,
      body: { error: 'History is not available right now.', status: 503, code: 'history_unavailable' },
    });
    const { exit, stderr } = await ask(['runs', 'list', '--json']);
    expect(exit).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({
      error: 'History is not available right now.',
      code: 'history_unavailable',
    });
    expect(api.asked).toHaveLength(3);
  });

  it('hangs: the command does not', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const { exit } = await millrace(['runs', 'list', '--url', `127.0.0.1:${port}`, '--timeout', '0.5']);
    silent.close();
    expect(exit).toBe(5);
  });

  it.each([
    ['a page of a proxy', { status: 502, body: '<html>' }, 1, 'The server answered with status 502.'],
    ['something else', { status: 200, body: { hello: 1 } }, 1, 'does not look like a Millrace server'],
    ['no JSON', { status: 200, body: 'pong' }, 1, 'does not look like a Millrace server'],
    [
      'a redirect, which is not followed',
      { status: 302, body: '', headers: { location: 'http://127.0.0.1:1/' } },
      1,
      'status 302',
    ],
    [
      'a refusal of the request',
      { status: 400, body: { error: 'limit must be', code: 'request_invalid' } },
      2,
      'limit must be',
    ],
  ])('answers with %s', async (_, answer, code, sentence) => {
    api.intercept = () => answer;
    const { exit, stdout, stderr } = await ask(['runs', 'list']);
    expect(stderr).toContain(sentence);
    expect({ exit, stdout }).toEqual({ exit: code, stdout: '' });
  });
});

describe('doctor', () => {
  it('finds all in order', async () => {
    const { exit, stdout } = await ask(['doctor', '--json']);
    const { ok, checks } = JSON.parse(stdout) as {
      ok: boolean;
      checks: { name: string; state: string; detail: string }[];
    };
    expect(checks.map(({ name }) => name)).toEqual(['node', 'server', 'app', 'api', 'data', 'history']);
    expect(checks.filter(({ state }) => state === 'failed')).toEqual([]);
    expect(checks[1]?.detail).toMatch(/^millrace 9\.9\.9 \(dev\) at http:.*, 2 functions$/);
    expect({ exit, ok }).toEqual({ exit: 0, ok: true });
  });

  it('finds no server, a port that is taken, a folder that is none', async () => {
    const other = createServer((socket) =>
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'),
    );
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    writeFileSync(join(folder, 'file'), '');
    const { exit, stdout } = await ask(['doctor', '--url', `http://127.0.0.1:${port}`, '--data-dir', 'file']);
    other.close();
    expect(exit).toBe(1);
    expect(stdout).toContain('✗ server   What answers at');
    expect(stdout).toContain(`✗ port     Port ${port} is taken by something that is no Millrace server.`);
    expect(stdout).toMatch(/✗ data .*it is not a folder/);
  });

  it('says that the port is free where nobody is', async () => {
    const { url } = api;
    await api.close();
    const { exit, stdout } = await millrace(['doctor', '--url', url], { cwd: folder });
    api = await StubApi.open();
    expect(exit).toBe(1);
    expect(stdout).toMatch(/✗ server .*No server answers at .*\n.*Start one with `millrace dev`/);
    expect(stdout).toMatch(/✓ port {5}Port \d+ is free\./);
    expect(stdout).toMatch(/✓ data .*\.millrace is not there yet; a server will make it\./);
  });
});

describe('the rest', () => {
  it('prints the version', async () => {
    const { exit, stdout } = await millrace(['version', '--json']);
    const shape = JSON.parse(stdout) as Record<string, unknown>;
    expect({ exit, shape }).toMatchObject({ exit: 0, shape: { schema: 1, node: expect.any(String) as unknown } });
    expect(await millrace(['version'])).toMatchObject({
      exit: 0,
      stdout: expect.stringContaining(`millrace ${String(shape['version'])}`) as unknown,
    });
    expect(await millrace(['--version'])).toMatchObject({ exit: 0, stdout: `${String(shape['version'])}\n` });
  });

  it('makes keys that servers and SDKs take', async () => {
    const { stdout } = await millrace(['keygen']);
    const [event, signing] = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('='));
    expect(event).toEqual(['INNGEST_EVENT_KEY', expect.stringMatching(/^[0-9a-f]{32}$/)]);
    expect(signing).toEqual(['INNGEST_SIGNING_KEY', expect.stringMatching(/^signkey-prod-[0-9a-f]{64}$/)]);
    expect((await millrace(['keygen'])).stdout).not.toBe(stdout);
  });

  it('explains itself', async () => {
    expect(await millrace(['--help'])).toMatchObject({
      exit: 0,
      stdout: expect.stringContaining('Exit codes: 0 ok') as unknown,
    });
    expect(await millrace([])).toMatchObject({
      exit: 2,
      stdout: '',
      stderr: expect.stringContaining('Usage: millrace') as unknown,
    });
    expect(await millrace(['help', 'send'])).toMatchObject({
      exit: 0,
      stdout: expect.stringContaining('Examples:') as unknown,
    });
    const typo = await millrace(['sned']);
    expect(typo).toMatchObject({ exit: 2, stderr: expect.stringContaining('Did you mean send?') as unknown });
  });

  it('paints only for a terminal, or when told', async () => {
    api.runs.set(RUN, aRun());
    const FORCE_COLOR = '1';
    expect((await ask(['runs', 'list'])).stdout).not.toContain('\u001b[');
    expect((await ask(['runs', 'list'], { env: { FORCE_COLOR } })).stdout).toContain('\u001b[');
    expect((await ask(['runs', 'list', '--no-color'], { env: { FORCE_COLOR } })).stdout).not.toContain('\u001b[');
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FunctionView } from '#apps/api/src/functions/function.view.js';
import type { QueueView } from '#apps/api/src/functions/queue.view.js';
import type { RunView } from '#apps/api/src/runs/run.view.js';
import { StubApi } from '#testkit/stub-api.js';
import { run } from './program.js';

const AT = '2026-11-22T10:00:00.000Z';
const NOW = Date.parse(AT) + 120_000;

let api: StubApi;
beforeEach(async () => {
  api = await StubApi.open();
  api.functions.set('shop-order', aFunction());
});
afterEach(() => api.close());

/** Runs a command in this process. @param typed what a person at a terminal types; without it nobody looks on */
async function ask(args: readonly string[], typed?: string) {
  let stdout = '';
  let stderr = '';
  const isTTY = typed !== undefined;
  const stdin = () => Object.assign(typing(typed ?? ''), { isTTY });
  const exit = await run(['functions', ...args], {
    stdin,
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text), isTTY },
    env: { MILLRACE_URL: api.url, NO_COLOR: '1' },
    cwd: '.',
    now: () => NOW,
  });
  return { exit, stdout, stderr };
}

async function* typing(text: string): AsyncGenerator<Buffer> {
  yield await Promise.resolve(Buffer.from(text));
}

function aFunction(change: Partial<FunctionView> = {}): FunctionView {
  return {
    id: 'f-1',
    slug: 'shop-order',
    name: 'Order',
    app_name: 'shop',
    version: 3,
    triggers: [{ event: 'shop/placed', expression: 'event.data.n > 1' }],
    paused: null,
    flow_control: {},
    ...change,
  };
}

const posts = () => api.asked.filter((line) => line.startsWith('POST'));
const HELD = { at: AT, running: 'hold' } as const;

describe('functions list', () => {
  it('shows what there is', async () => {
    const flow_control = { throttle: { limit: 1, period: '5s', burst: 0 }, singleton: { mode: 'skip' as const } };
    api.functions.set('shop-mail', aFunction({ slug: 'shop-mail', triggers: [], paused: HELD, flow_control }));
    const { exit, stdout, stderr } = await ask(['list']);
    expect(stdout.split('\n')).toEqual([
      'STATUS    FUNCTION    APP   TRIGGERS     FLOW CONTROL',
      '● Live    shop-order  shop  shop/placed',
      '‖ Paused  shop-mail   shop  invoke only  throttle, singleton',
      '',
    ]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    expect(JSON.parse((await ask(['list', '--json'])).stdout)).toEqual({
      schema: 1,
      functions: [...api.functions.values()],
    });
  });

  it('says what to do where there is nothing', async () => {
    api.functions.clear();
    expect(await ask(['list'])).toEqual({
      exit: 0,
      stdout: '',
      stderr: 'No functions. Name an app: `millrace dev -u http://localhost:3000/api/inngest`.\n',
    });
  });
});

describe('functions get', () => {
  it('says in words what a function declares', async () => {
    api.functions.set(
      'shop-order',
      aFunction({
        paused: { at: AT, running: 'cancel' },
        triggers: [
          { event: 'shop/placed', expression: 'event.data.n > 1' },
          { cron: '0 5 * * *', jitter: '1m30s' },
        ],
        flow_control: {
          concurrency: {
            step: [{ limit: 2, key: 'event.data.shop', scope: 'env' }],
            fn: [{ limit: 1, scope: 'fn' }],
          },
          throttle: { limit: 1, period: '5s', burst: 2, key: 'event.data.u' },
          rateLimit: { limit: 3, period: '24h' },
          debounce: { period: '1s', timeout: '1m' },
          batchEvents: { maxSize: 10, timeout: '5s', if: 'event.data.n > 1' },
          singleton: { mode: 'cancel', key: 'event.data.u' },
          idempotency: 'event.data.id',
          priority: { run: 'event.data.p' },
        },
      }),
    );
    const { exit, stdout } = await ask(['get', 'shop-order']);
    expect(exit).toBe(0);
    expect(stdout.split('\n')).toEqual([
      '‖ Paused for 2 min  shop-order Order',
      '  app         shop',
      '  id          f-1',
      '  version     3',
      `  paused      ${AT}: the runs under way are cancelled`,
      '  trigger     event shop/placed where event.data.n > 1',
      '  trigger     cron 0 5 * * *, up to 1m30s later',
      '  concurrency 2 calls at once for each event.data.shop in the environment',
      '  concurrency 1 run at once',
      '  throttle    1 start per 5s, 2 more in a burst for each event.data.u',
      '  rate limit  3 runs per 24h; further events are dropped',
      '  debounce    1s after the last event, 1m after the first at most',
      '  batch       10 events, or after 5s, those where event.data.n > 1',
      '  singleton   1 run at a time for each event.data.u; a further one cancels it',
      '  idempotency 1 run in 24h for each event.data.id',
      '  priority    event.data.p, in seconds',
      '',
    ]);
    const json = await ask(['get', 'f-1', '--json']);
    expect(JSON.parse(json.stdout)).toEqual({ schema: 1, function: api.functions.get('shop-order') });
  });

  it('keeps its lines whatever apps write', async () => {
    const odd = 'a\u001b[31m\nb';
    api.functions.set('x', aFunction({ slug: 'x', name: odd, app_name: odd, triggers: [{ event: odd }] }));
    const { stdout } = await ask(['get', 'x']);
    expect(stdout).not.toContain('\u001b');
    expect(stdout.split('\n')).toHaveLength(6);
  });

  it.each([[['get', 'nobody']], [['queue', 'nobody']], [['pause', 'nobody']], [['resume', 'nobody']]])(
    '%j: ends with 3 and says where to look',
    async (args) =>
      expect(await ask(args)).toEqual({
        exit: 3,
        stdout: '',
        stderr: `error: Function not found\n  why:  ${api.url} answered with status 404\n  next: \`millrace functions list\` shows those that there are.\n`,
      }),
  );

  it.each([
    [['get'], "Missing required argument 'function'"],
    [['lst'], "Unknown command 'lst'"],
    [['queue', 'x', '--limit', '0'], '--limit must be a whole number from 1 to 100, not "0".'],
    [['pause', 'x', '--running', 'hold'], "Unknown option '--running'"],
  ])('refuses %j', async (args, sentence) => {
    const { exit, stdout, stderr } = await ask(args);
    expect(stderr).toContain(sentence);
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
  });
});

describe('functions queue', () => {
  const queue: QueueView = {
    running: 3,
    ready: 1_205,
    later: 4,
    next_at: new Date(NOW + 1_500).toISOString(),
    line_count: 42,
    lines: [
      {
        keys: [
          { limit: 'step', expression: 'event.data.shop', value: 'acme' },
          { limit: 'run', expression: null, value: '' },
          { limit: 'throttle', expression: 'event.data.shop', value: 'acme' },
        ],
        ready: 1_200,
        running: 2,
        wait: { cause: 'turn', place: 1 },
      },
      { keys: [], ready: 0, running: 1, wait: null },
    ],
  };

  it('shows its lines, the longest first as they come', async () => {
    api.queues.set('shop-order', queue);
    const { exit, stdout, stderr } = await ask(['queue', 'shop-order', '--limit', '2']);
    expect(stdout.split('\n')).toEqual([
      '● Live shop-order: 3 under way, 1,205 due, 4 later; the next may go in 1.5 s',
      '',
      'DUE    UNDER WAY  KEYS                      THE FIRST OF THEM',
      '1,200  2          event.data.shop = "acme"  may go: 1st in line',
      '0      1          none',
      '',
    ]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: 'There are 40 more lines: --limit 100.\n' });
    expect(api.asked.at(-1)).toBe('GET /v1/functions/f-1/queue?limit=2');
    const json = await ask(['queue', 'shop-order', '--json']);
    expect(JSON.parse(json.stdout)).toEqual({ schema: 1, function: aFunction(), queue });
  });

  it('is short where nothing waits', async () => {
    api.queues.set('shop-order', { running: 0, ready: 0, later: 0, next_at: null, line_count: 0, lines: [] });
    expect(await ask(['queue', 'shop-order'])).toEqual({
      exit: 0,
      stdout: '● Live shop-order: 0 under way, 0 due, 0 later\n',
      stderr: '',
    });
  });
});

describe('functions pause', () => {
  it('holds what is under way, without asking', async () => {
    expect(await ask(['pause', 'shop-order'], '')).toEqual({
      exit: 0,
      stdout: '‖ Paused shop-order: its events leave skipped runs, the runs under way are held\n',
      stderr: 'Let it go on with `millrace functions resume shop-order`.\n',
    });
    expect(api.functions.get('shop-order')?.paused).toEqual(HELD);
  });

  it('is undone by a resume', async () => {
    api.functions.set('shop-order', aFunction({ paused: HELD }));
    expect(await ask(['resume', 'shop-order'])).toEqual({ exit: 0, stdout: '● Live shop-order\n', stderr: '' });
    const json = await ask(['resume', 'shop-order', '--json']);
    expect(JSON.parse(json.stdout)).toEqual({ schema: 1, function: aFunction() });
  });

  it('asks a person before it cancels, with the number', async () => {
    api.runs.set('R', { run_id: 'R' } as RunView);
    const no = await ask(['pause', 'shop-order', '--cancel'], 'n\n');
    expect(no).toEqual({
      exit: 1,
      stdout: '',
      stderr:
        'Pause shop-order, and cancel 1 run under way? [y/N] error: Nothing was changed.\n  next: Say y, or give --yes.\n',
    });
    expect(api.asked.at(-1)).toBe('GET /v1/runs?function=shop-order&status=scheduled%2Crunning&limit=100');
    expect(posts()).toEqual([]);
    expect(await ask(['pause', 'shop-order', '--cancel'], '\n')).toMatchObject({ exit: 1 });
    expect(posts()).toEqual([]);

    expect(await ask(['pause', 'shop-order', '--cancel'], 'y\n')).toMatchObject({
      exit: 0,
      stdout: '‖ Paused shop-order: its events leave skipped runs, the runs under way are cancelled\n',
    });
    expect(api.functions.get('shop-order')?.paused?.running).toBe('cancel');
  });

  it.each([
    ['nobody looks on', ['--cancel'], undefined],
    ['it was told not to', ['--cancel', '--yes'], ''],
  ])('does not ask where %s', async (_, flags, typed) => {
    const { exit, stdout } = await ask(['pause', 'shop-order', '--json', ...flags], typed);
    expect(exit).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ schema: 1, function: { paused: { running: 'cancel' } } });
  });

  it('asks without a number where nobody can count', async () => {
    api.intercept = (line) =>
      line.includes('/v1/runs')
        ? { status: 503, body: { error: 'History is not available right now.', code: 'history_unavailable' } }
        : undefined;
    const { exit, stderr } = await ask(['pause', 'shop-order', '--cancel'], 'yes\n');
    expect(stderr).toContain('Pause shop-order, and cancel all its runs under way? [y/N] ');
    expect(exit).toBe(0);
  });
});

it('explains itself', async () => {
  for (const verb of ['list', 'get', 'queue', 'pause', 'resume'])
    expect((await ask([verb, '--help'])).stdout).toMatch(/Examples?:\n {2}millrace functions/);
});

import { createColors } from 'picocolors';
import { describe, expect, it } from 'vitest';
import type { RunTransition } from '#core/run/run.transitions.js';
import { readSettings } from '#platform/settings.js';
import type { SyncResult } from '#ports/control-plane.port.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { Terminal } from './terminal.js';

const START = Date.UTC(2026, 10, 22, 10, 0, 0);
const RUN = '01KB00000000000000000000A1';

function aTerminal(flags: Record<string, unknown> = {}) {
  const clock = new ManualClock(START);
  const out = { text: '', writableLength: 0, write: (text: string) => (out.text += text) };
  const { settings } = readSettings({ mode: 'dev', flags, env: {}, cwd: '/nowhere' });
  const terminal = new Terminal({
    version: '1.2.3',
    settings,
    addresses: ['10.0.0.7'],
    colors: createColors(false),
    out,
    clock,
  });
  return {
    clock,
    out,
    settings,
    terminal,
    tell: (runId: string, transition: RunTransition) =>
      terminal.transition({ runId, command: { partition: 0, offset: 1 }, index: 0, transition }),
    lines: () => out.text.split('\n').slice(0, -1),
    objects: () =>
      out.text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

function scheduled(at = START, startAt = at): RunTransition {
  return {
    type: 'RunScheduled',
    at,
    functionId: 'f',
    functionSlug: 'shop-order',
    functionVersion: 1,
    appId: 'a',
    appName: 'shop',
    events: ['{}'],
    eventIds: ['e'],
    eventName: 'shop/placed',
    startAt,
    maxAttempts: 5,
    parents: [],
    cancelOn: [],
  };
}

function stepped(at: number): RunTransition {
  return { type: 'StepCompleted', at, stepId: 's', name: 'charge', kind: 'run', memo: '{}' };
}

function failed(at: number, message: string, name = 'Error'): RunTransition {
  return { type: 'RunFailed', at, output: '{}', fault: { name, message, json: '{}' }, errorClass: 'x' };
}

function synced(functions: number, archived = 0): SyncResult {
  const app = { name: 'shop', url: 'http://localhost:3000/api/inngest', sdk: 'js:v4.24.0' };
  const some = (count: number) => Array.from({ length: count }, () => ({}));
  return {
    modified: true,
    syncId: 's',
    app,
    functions: some(functions),
    archived: some(archived),
  } as unknown as SyncResult;
}

describe('what it says at the start', () => {
  it('says DEV, where it listens, where data go, what it looks for', () => {
    const { terminal, out, settings } = aTerminal();
    terminal.listening('http://127.0.0.1:8288');
    expect(out.text).toContain('millrace 1.2.3  DEV: no keys asked, not for production');
    expect(out.text).toContain('URL      http://127.0.0.1:8288\n');
    expect(out.text).toContain(`Data     ${settings.dataDir} (goes when the server stops; --persist keeps it)`);
    expect(out.text).toContain('Apps     looking on the usual local ports; name one with -u');
    expect(out.text).not.toContain('Anybody');
  });

  it('gives addresses that can be opened, and a warning, when it listens everywhere', () => {
    const { terminal, out } = aTerminal({ host: '0.0.0.0', 'sdk-url': 'http://app:3000/x' });
    terminal.listening('http://0.0.0.0:8288');
    expect(out.text).toContain('URL      http://localhost:8288\n');
    expect(out.text).toContain('Network  http://10.0.0.7:8288\n');
    expect(out.text).toContain('Anybody who reaches 0.0.0.0 can run functions here: DEV asks for no keys.');
    expect(out.text).toContain('Apps     http://app:3000/x\n');
  });
});

describe('apps', () => {
  it('tells what was synced', () => {
    const { terminal, lines } = aTerminal();
    terminal.synced(synced(7));
    terminal.synced(synced(1, 2));
    expect(lines()).toEqual([
      '● app shop synced: 7 functions http://localhost:3000/api/inngest',
      '● app shop synced: 1 function, 2 gone http://localhost:3000/api/inngest',
    ]);
  });

  it('tells why not, and what to do; the same error once, until it changed or went away', () => {
    const { terminal, lines } = aTerminal();
    const { url } = synced(1).app;
    const error = { code: 'unreachable', message: 'connect ECONNREFUSED 127.0.0.1:3000' };
    for (let round = 0; round < 3; round++) terminal.syncFailed(url, error);
    expect(lines()).toEqual([
      `● ${url} not synced: connect ECONNREFUSED 127.0.0.1:3000`,
      '    Is the app running, and is this the URL that it serves Inngest functions at? It is asked again until it answers.',
    ]);
    terminal.syncFailed(url, { code: 'constructor', message: 'odd' });
    expect(lines().slice(2)).toEqual([`● ${url} not synced: odd`, '    It is asked again until it answers.']);
    terminal.synced(synced(1));
    terminal.syncFailed(url, error);
    expect(lines()).toHaveLength(7);
  });
});

describe('runs', () => {
  it('tells the outcome, the time since the run started, and its steps', () => {
    const { tell, lines } = aTerminal();
    tell(RUN, scheduled());
    tell(RUN, { type: 'RunStarted', at: START + 500 });
    tell(RUN, stepped(START + 600));
    tell(RUN, {
      type: 'StepErrored',
      at: START,
      stepId: 't',
      name: 't',
      fault: { name: '', message: '', json: '' },
      attempt: 0,
      startedAt: 0,
      retryAt: 0,
    });
    tell(RUN, stepped(START + 700));
    tell(RUN, { type: 'RunCompleted', at: START + 1_700, output: 'null' });
    expect(lines()).toEqual([`✓ shop-order ${RUN} completed in 1.2 s, 2 steps`]);
  });

  it('tells the first line of an error, without what a terminal would obey', () => {
    const { tell, lines } = aTerminal();
    tell(RUN, scheduled());
    tell(RUN, failed(START + 35, 'card \u001b[2Jdeclined\n    at charge (/app/x.ts:1)'));
    expect(lines()).toEqual([`✗ shop-order ${RUN} failed after 35 ms: Error: card \ufffd[2Jdeclined`]);
  });

  it('tells who cancelled', () => {
    const { tell, lines } = aTerminal();
    tell(RUN, scheduled());
    tell(RUN, { type: 'RunCancelled', at: START + 60_000, by: 'event', cause: 'e' });
    expect(lines()).toEqual([`■ shop-order ${RUN} cancelled after 1 min by an event`]);
  });

  it('tells the end of a run whose start it did not see', () => {
    const { tell, lines } = aTerminal();
    tell(RUN, { type: 'RunCompleted', at: START, output: 'null' });
    expect(lines()).toEqual([`✓ run ${RUN} completed`]);
  });

  it('remembers a bounded number of runs', () => {
    const { tell, lines } = aTerminal();
    for (let run = 0; run <= 20_000; run++) tell(`run-${run}`, scheduled());
    tell('run-0', failed(START, 'x'));
    tell('run-1', failed(START, 'x'));
    expect(lines()).toEqual(['✗ run run-0 failed: Error: x', '✗ shop-order run-1 failed after 0 ms: Error: x']);
  });
});

describe('a flood', () => {
  const flood = (to: ReturnType<typeof aTerminal>, count: number, transition: RunTransition) => {
    for (let run = 0; run < count; run++) to.tell(`run-${run}`, transition);
  };

  it('is summed up second by second, and leaves room for what went wrong', async () => {
    const it = aTerminal();
    const completed: RunTransition = { type: 'RunCompleted', at: START, output: 'null' };
    flood(it, 1_255, completed);
    flood(it, 8, failed(START, 'x'));
    expect(it.lines()).toHaveLength(20);
    await it.clock.turn(999);
    expect(it.lines()).toHaveLength(20);
    await it.clock.turn(1);
    expect(it.lines().slice(20)).toEqual(['… and 1,243 more runs in the last second: 1,240 completed, 3 failed']);
    flood(it, 1, completed);
    expect(it.lines()).toHaveLength(22);
    await it.clock.turn(1_000);
    expect(it.lines()).toHaveLength(22);
  });

  it('says what is left when the server stops', () => {
    const it = aTerminal();
    flood(it, 16, { type: 'RunCancelled', at: START, by: 'api' });
    flood(it, 5, { type: 'RunCompleted', at: START, output: 'null' });
    it.terminal.stopped();
    expect(it.lines().slice(16)).toEqual(['… and 5 more runs in the last second: 5 completed', 'Stopped.']);
    expect(it.clock.next()).toBeUndefined();
  });

  it('is not kept in memory for a reader that does not read', () => {
    const it = aTerminal({ json: true });
    it.out.writableLength = 2 * 1024 * 1024;
    flood(it, 100, { type: 'RunCompleted', at: START, output: 'null' });
    expect(it.out.text).toBe('');
    it.out.writableLength = 0;
    flood(it, 1, { type: 'RunCompleted', at: START, output: 'null' });
    expect(it.objects()).toMatchObject([{ type: 'lines_dropped', count: 100 }, { type: 'run_ended' }]);
  });
});

it('speaks JSON to machines', () => {
  const { terminal, tell, objects, settings } = aTerminal({ json: true });
  terminal.listening('http://127.0.0.1:8288');
  terminal.synced(synced(2, 1));
  terminal.syncFailed('http://x', { code: 'unreachable', message: 'no' });
  tell(RUN, scheduled());
  tell(RUN, stepped(START));
  tell(RUN, failed(START + 10, 'no\nmore'));
  tell(RUN, { type: 'RunCancelled', at: START, by: 'api' });
  terminal.stopped();
  const at = '2026-11-22T10:00:00.000Z';
  expect(objects()).toEqual([
    {
      type: 'listening',
      at,
      url: 'http://127.0.0.1:8288',
      mode: 'dev',
      version: '1.2.3',
      data_dir: settings.dataDir,
      pid: process.pid,
    },
    {
      type: 'app_synced',
      at,
      app: 'shop',
      url: 'http://localhost:3000/api/inngest',
      sdk: 'js:v4.24.0',
      functions: 2,
      archived: 1,
    },
    { type: 'app_sync_failed', at, url: 'http://x', code: 'unreachable', error: 'no' },
    {
      type: 'run_ended',
      at: '2026-11-22T10:00:00.010Z',
      run_id: RUN,
      status: 'failed',
      function: 'shop-order',
      duration_ms: 10,
      steps: 1,
      error: 'Error: no',
    },
    { type: 'run_ended', at, run_id: RUN, status: 'cancelled', by: 'api' },
    { type: 'stopped', at },
  ]);
});

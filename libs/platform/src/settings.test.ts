import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '#core/faults.js';
import { readSettings, type SettingSources } from './settings.js';
import { flags } from './settings.rows.js';

const KEY = `signkey-test-${'0123456789abcdef'.repeat(4)}`;
const KEYS = { 'event-key': ['an-event-key'], 'signing-key': KEY };

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'millrace-settings-'));
});
afterEach(() => rmSync(cwd, { recursive: true }));

function read(sources: Partial<SettingSources> = {}) {
  return readSettings({ mode: 'dev', flags: {}, env: {}, cwd, ...sources });
}

function faultOf(sources: Partial<SettingSources>): Fault {
  try {
    read(sources);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('nothing was wrong');
}

/** Writes a file below the working folder. @returns its path */
function file(name: string, values: unknown): string {
  const path = join(cwd, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, typeof values === 'string' ? values : JSON.stringify(values));
  return path;
}

describe('what a server does when nobody says anything', () => {
  it('dev: this machine only, no keys, a folder that goes with it, looks for apps', () => {
    const { settings, notes } = read();
    expect(settings).toMatchObject({
      mode: 'dev',
      host: '127.0.0.1',
      port: 8288,
      dataDirTemporary: true,
      appUrls: [],
      discovery: true,
      discoveryPorts: [],
      poll: true,
      pollIntervalMs: 5_000,
      eventKeys: [],
      signingKeys: [],
      queueWorkers: 100,
      callTimeoutMs: 7_200_000,
      allowPrivateUrls: true,
      eventRetentionMs: 30 * 24 * 3_600_000,
      checkpointMs: 2_000,
      leaseMs: 30_000,
      history: true,
      logLevel: 'warn',
      json: false,
    });
    expect(settings.dataDir).toMatch(/millrace-dev-[0-9a-f]{16}$/);
    expect(settings).not.toHaveProperty('retryIntervalMs');
    expect(read().settings.dataDir).not.toBe(settings.dataDir);
    expect(notes).toEqual([]);
  });

  it('start: every address, durable, apps neither looked for nor polled, private networks closed', () => {
    const { settings } = read({ mode: 'start', flags: KEYS });
    expect(settings).toMatchObject({
      mode: 'start',
      host: '0.0.0.0',
      dataDir: join(cwd, '.millrace'),
      dataDirTemporary: false,
      discovery: false,
      poll: false,
      allowPrivateUrls: false,
      logLevel: 'info',
      eventKeys: ['an-event-key'],
      signingKeys: [KEY],
    });
  });
});

describe('where a setting comes from', () => {
  it('takes flag, MILLRACE_ variable, INNGEST_ variable and file, in this order', () => {
    const env = { MILLRACE_PORT: '2', INNGEST_PORT: '3' };
    const configFile = file('c.json', { port: 4 });
    const port = (sources: Partial<SettingSources>) => read(sources).settings.port;
    expect(port({ flags: { port: '1' }, env, configFile })).toBe(1);
    expect(port({ env, configFile })).toBe(2);
    expect(port({ env: { INNGEST_PORT: '3', MILLRACE_PORT: '' }, configFile })).toBe(3);
    expect(port({ configFile })).toBe(4);
    expect(port({ env: { MILLRACE_CONFIG: configFile } })).toBe(4);
  });

  it('reads $PORT as its own port in start, as the port of the app in dev', () => {
    const env = { PORT: '3999' };
    expect(read({ env }).settings).toMatchObject({ port: 8288, discoveryPorts: [3999] });
    expect(read({ mode: 'start', flags: KEYS, env }).settings).toMatchObject({ port: 3999, discoveryPorts: [] });
    expect(read({ env: { PORT: 'tcp://x' } }).settings.discoveryPorts).toEqual([]);
  });

  it('takes lists from repeated flags, from commas, from JSON', () => {
    const urls = ['http://localhost:3000/api/inngest', 'https://b.example/x'];
    const { settings } = read({ flags: { 'sdk-url': ['localhost:3000/api/inngest', 'https://b.example/x'] } });
    expect(settings.appUrls).toEqual(urls);
    expect(read({ env: { INNGEST_SDK_URL: urls.join(', ') } }).settings.appUrls).toEqual(urls);
    expect(read({ configFile: file('c.json', { 'sdk-url': urls }) }).settings.appUrls).toEqual(urls);
    expect(read({ configFile: file('c.json', { 'sdk-url': urls[0] }) }).settings.appUrls).toEqual([urls[0]]);
  });

  it('reads lengths of time in their units', () => {
    const { settings } = read({
      flags: { 'poll-interval': '0.5', 'retry-interval': '3', 'call-timeout': 10 },
      env: { MILLRACE_EVENT_RETENTION: '36h', MILLRACE_CHECKPOINT_INTERVAL: '0.25', MILLRACE_LEASE_TIME: '2' },
    });
    expect(settings).toMatchObject({
      pollIntervalMs: 500,
      retryIntervalMs: 3_000,
      callTimeoutMs: 10_000,
      eventRetentionMs: 36 * 3_600_000,
      checkpointMs: 250,
      leaseMs: 2_000,
    });
  });

  it('does not poll at an interval of 0, and polls in start when an interval is given', () => {
    expect(read({ flags: { 'poll-interval': '0' } }).settings).toMatchObject({ poll: false, pollIntervalMs: 5_000 });
    expect(read({ flags: { 'no-poll': true } }).settings.poll).toBe(false);
    const flags = { ...KEYS, 'poll-interval': '60' };
    expect(read({ mode: 'start', flags }).settings).toMatchObject({ poll: true, pollIntervalMs: 60_000 });
  });

  it('keeps the fallback key behind the current one', () => {
    const env = { INNGEST_EVENT_KEY: 'a,b', INNGEST_SIGNING_KEY: KEY, INNGEST_SIGNING_KEY_FALLBACK: 'ab'.repeat(16) };
    const { settings } = read({ mode: 'start', env });
    expect(settings).toMatchObject({ eventKeys: ['a', 'b'], signingKeys: [KEY, 'ab'.repeat(16)] });
  });

  it('dev needs no keys: passes over those of the environment, says so of those it was given', () => {
    const env = { INNGEST_EVENT_KEY: 'a', INNGEST_SIGNING_KEY: 'not even hex' };
    expect(read({ env })).toMatchObject({ settings: { eventKeys: [], signingKeys: [] }, notes: [] });
    expect(read({ flags: KEYS }).notes).toEqual([
      '--event-key has no effect: dev asks for no keys.',
      '--signing-key has no effect: dev asks for no keys.',
    ]);
  });

  it('takes what only the reference needs, with a note', () => {
    const { notes } = read({
      flags: { tick: '150', 'connect-gateway-port': '8289', 'no-ui': true },
      env: { INNGEST_POSTGRES_URI: 'postgres://secret' },
    });
    expect(notes).toEqual([
      '--tick has no effect: work is woken, not looked for.',
      '--connect-gateway-port has no effect: Connect is not served yet.',
      '--no-ui has no effect: there is no dashboard yet.',
      'INNGEST_POSTGRES_URI is taken as --database-url.',
    ]);
  });

  it('keeps data where it is told', () => {
    const dir = (flags: Record<string, unknown>) => read({ flags }).settings;
    expect(dir({ 'data-dir': 'x' })).toMatchObject({ dataDir: join(cwd, 'x'), dataDirTemporary: false });
    expect(dir({ persist: true })).toMatchObject({ dataDir: join(cwd, '.millrace/dev'), dataDirTemporary: false });
    expect(dir({ memory: true })).toMatchObject({ dataDirTemporary: true });
    expect(read({ flags: { 'sqlite-dir': 'y' } })).toMatchObject({
      settings: { dataDir: join(cwd, 'y') },
      notes: ['--sqlite-dir is taken as --data-dir.'],
    });
    const configFile = file('deep/c.json', { 'data-dir': 'z' });
    expect(read({ configFile }).settings.dataDir).toBe(join(cwd, 'deep/z'));
  });
});

describe('the config file that dev finds by itself', () => {
  const inside = (folder: string) => {
    mkdirSync(join(cwd, folder), { recursive: true });
    return join(cwd, folder);
  };

  it('is the nearest in the repository, millrace.json before inngest.json', () => {
    const from = inside('a/b');
    inside('.git');
    const top = file('inngest.json', { port: 1 });
    expect(read({ cwd: from })).toMatchObject({ configFile: top, settings: { port: 1 } });
    const near = file('a/millrace.json', { port: 2 });
    file('a/inngest.json', { port: 3 });
    expect(read({ cwd: from })).toMatchObject({ configFile: near, settings: { port: 2 } });
  });

  it('is not looked for above a folder that is in no repository, nor by start', () => {
    const from = inside('a');
    file('millrace.json', { port: 1 });
    expect(read({ cwd: from }).settings.port).toBe(8288);
    expect(read().settings.port).toBe(1);
    expect(read({ mode: 'start', flags: KEYS }).settings.port).toBe(8288);
  });

  it('of the reference may hold what is not known here; ours may not', () => {
    const values = { port: 5, 'future-thing': 1, constructor: 2 };
    file('inngest.json', values);
    expect(read()).toMatchObject({
      settings: { port: 5 },
      notes: [
        '"future-thing" in inngest.json is not a setting of Millrace.',
        '"constructor" in inngest.json is not a setting of Millrace.',
      ],
    });
    file('millrace.json', values);
    expect(faultOf({}).message).toContain('"future-thing" in millrace.json is not a setting of Millrace.');
  });

  it('is JSON: another is named', () => {
    const path = file('inngest.yaml', 'port: 1');
    expect(read().notes).toEqual([`${path} is not read: write it as JSON, millrace.json beside it.`]);
  });
});

describe('what is wrong', () => {
  it('is told all at once, by the name under which it was given', () => {
    const fault = faultOf({
      flags: { port: '70000', 'sdk-url': ['ftp://x'] },
      env: { MILLRACE_QUEUE_WORKERS: 'many', INNGEST_LOG_LEVEL: 'loud' },
      configFile: file('c.json', { 'no-poll': 'perhaps', 'event-retention': '1h', portt: 1 }),
    });
    expect(fault.code).toBe('settings_invalid');
    expect(fault.data['settings']).toHaveLength(7);
    expect(fault.message.split('\n')).toEqual([
      '7 settings are wrong:',
      '  --port must be a whole number from 0 to 65535, not "70000".',
      '  --sdk-url must be an http or https URL, not "ftp://x".',
      '  MILLRACE_QUEUE_WORKERS must be a whole number from 1 to 10000, not "many".',
      '  INNGEST_LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, not "loud".',
      '  "no-poll" in c.json must be true or false, not "perhaps".',
      '  "event-retention" in c.json must be a length of time such as 12h or 30d, at least 1d, not "1h".',
      '  "portt" in c.json is not a setting of Millrace.',
    ]);
  });

  it('start does not begin without keys, and says how to come by them', () => {
    const { message } = faultOf({ mode: 'start' });
    expect(message).toMatch(/--event-key \(or MILLRACE_EVENT_KEY\) is missing: .*`millrace keygen` makes a pair\./);
    expect(message).toMatch(/--signing-key \(or MILLRACE_SIGNING_KEY\) is missing/);
  });

  it.each([
    ['odd', 'signkey-prod-123'],
    ['no hex', 'signkey-prod-secret'],
    ['only a prefix', 'signkey-live-'],
  ])('a signing key that is %s is refused, and not shown', (_, key) => {
    const { message } = faultOf({ mode: 'start', flags: { ...KEYS, 'signing-key': key } });
    expect(message).toContain('--signing-key must be an even number of hex digits');
    expect(message).not.toContain(key);
  });

  it('an event key that cannot stand in a URL, or that everybody sends, is refused', () => {
    expect(faultOf({ mode: 'start', flags: { ...KEYS, 'event-key': ['a/b'] } }).message).toContain('--event-key must');
    expect(faultOf({ mode: 'start', flags: { ...KEYS, 'event-key': 'NO_EVENT_KEY_SET' } }).message).toContain(
      'must not',
    );
    expect(faultOf({ mode: 'start', flags: { ...KEYS, 'event-key': ',' } }).message).toContain('must be a key');
  });

  it('a signing key that can be guessed is taken, with a note', () => {
    const { notes } = read({ mode: 'start', flags: { ...KEYS, 'signing-key': '12345678' } });
    expect(notes).toEqual([expect.stringMatching(/^The signing key has 8 hex digits/)]);
  });

  it('what contradicts itself', () => {
    const replicas = (copies: string, inSync: string) => ({
      env: { MILLRACE_REPLICATION_FACTOR: copies, MILLRACE_MIN_INSYNC_REPLICAS: inSync },
    });
    expect(faultOf(replicas('2', '3')).message).toContain(
      'MILLRACE_MIN_INSYNC_REPLICAS must not be more than the 2 copies that there are',
    );
    expect(read(replicas('3', '3')).notes).toEqual([]);
    expect(faultOf({ flags: { memory: true, persist: true } }).message).toBe(
      '--memory and --persist contradict each other: give one of them.',
    );
    expect(faultOf({ flags: { memory: true }, env: { MILLRACE_DATA_DIR: '/x' } }).message).toContain(
      'MILLRACE_DATA_DIR',
    );
  });

  it('a config file that is not there, no JSON, or no object', () => {
    expect(faultOf({ configFile: 'none.json' }).message).toContain('cannot be read');
    expect(faultOf({ configFile: file('a.json', '{') }).message).toContain('is not JSON');
    expect(faultOf({ configFile: file('b.json', []) }).message).toContain('must hold one JSON object');
  });

  it('never ends in anything but settings or a sentence, whatever a file holds', () => {
    const names = flags('dev').map(({ name }) => name);
    fc.assert(
      fc.property(fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), fc.jsonValue()), (values) => {
        try {
          const { settings } = read({ configFile: file('any.json', values) });
          expect(settings.port).toBeGreaterThanOrEqual(0);
          expect(settings.pollIntervalMs).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(Fault);
        }
      }),
      { numRuns: 300 },
    );
  });
});

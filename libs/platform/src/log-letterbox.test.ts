import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openDataDir, type DataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import { Fault } from '#core/faults.js';
import { DEFAULT_ENV, type Position } from '#core/words.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { SeededIds } from '#testkit/seeded-ids.js';
import { LogLetterbox } from './log-letterbox.js';

const command = { type: 'CancelRun', runId: 'run', env: DEFAULT_ENV, at: 0, by: 'api' } as const;

let folder: string;
let dir: DataDir;
let log: LocalEventLog;
let clock: ManualClock;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'letterbox-'));
  dir = openDataDir(folder, { create: true });
  clock = new ManualClock();
  log = LocalEventLog.open(dir, { clock });
});
afterEach(async () => {
  await log.close();
  await dir.close();
  rmSync(folder, { recursive: true });
});

it('says after a while that nobody answers', async () => {
  const letterbox = await LogLetterbox.open(log, clock, new SeededIds());
  const asked = letterbox.ask('run', command);
  const told = expect(asked).rejects.toMatchObject({ code: 'overloaded' });
  await clock.turn(15_000);
  await told;
});

it('may give up an answer before the log has the question', async () => {
  const appending = Promise.withResolvers<readonly Position[]>();
  log.append = () => appending.promise;
  const letterbox = await LogLetterbox.open(log, clock, new SeededIds());
  const asked = letterbox.ask('run', command);
  await clock.turn(15_000);
  appending.reject(new Fault('log_unavailable', {}));
  await expect(asked).rejects.toMatchObject({ code: 'log_unavailable' });
});

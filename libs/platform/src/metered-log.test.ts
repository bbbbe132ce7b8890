import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openDataDir, type DataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import { DEFAULT_ENV } from '#core/words.js';
import type { LogRecord, Topic } from '#ports/event-log.port.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { metered } from './metered-log.js';
import { ProcessMetrics } from './metrics.js';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const clock = new ManualClock();
const record = (topic: Topic): LogRecord => {
  return { topic, key: 'k', type: 'T', schema: 1, env: DEFAULT_ENV, at: clock.now(), body: {} };
};

describe('a log that is measured', () => {
  const path = mkdtempSync(join(tmpdir(), 'metered-'));
  let dir: DataDir | undefined;
  afterEach(async () => {
    await dir?.close();
    rmSync(path, { recursive: true, force: true });
  });

  it('tells how many records of each topic were appended, how long it took, and what failed', async () => {
    dir = openDataDir(path, { create: true });
    const metrics = new ProcessMetrics(clock, quiet);
    const log = LocalEventLog.open(dir, { clock });
    expect(metered(log, metrics)).toBe(log);
    const positions = await log.append([record('events'), record('events')], [record('dead-letters')]);
    expect(positions.map(({ offset }) => offset)).toEqual([0, 1, 0]);
    await log.append([record('events')]);
    await log.close();
    await expect(log.append([record('events')])).rejects.toMatchObject({ code: 'log_unavailable' });

    const text = await metrics.text();
    for (const line of [
      'millrace_append_records_total{topic="events"} 3',
      'millrace_append_records_total{topic="dead-letters"} 1',
      'millrace_append_seconds_count{topic="events"} 2',
      'millrace_append_seconds_count{topic="dead-letters"} 1',
      'millrace_append_failures_total 1',
      'millrace_dead_letters_total 1',
    ])
      expect(text).toContain(`\n${line}\n`);
  });
});

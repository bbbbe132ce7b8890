import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { METRICS, type MetricName } from '#ports/metrics.port.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { ProcessMetrics } from './metrics.js';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

function make(clock = new ManualClock()): ProcessMetrics {
  return new ProcessMetrics(clock, quiet);
}

/** The samples of a metric, by what stands before their value. */
function samples(text: string, name: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line.startsWith(name) && /^[{ _]/.test(line.slice(name.length)));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

describe('the metrics of a process', () => {
  it('count, by label', async () => {
    const metrics = make();
    metrics.count('millrace_commands_total', { type: 'StartRun', result: 'accepted' });
    metrics.count('millrace_commands_total', { result: 'accepted', type: 'StartRun' }, 2);
    metrics.count('millrace_commands_total', { type: 'StartRun', result: 'ignored' });
    expect(samples(await metrics.text(), 'millrace_commands_total')).toEqual({
      'millrace_commands_total{type="StartRun",result="accepted"}': 3,
      'millrace_commands_total{type="StartRun",result="ignored"}': 1,
    });
  });

  it('put what is observed into buckets, each of which holds those before it', async () => {
    const metrics = make();
    const outcome = 'ok';
    for (const seconds of [0.001, 0.0025, 0.3, 10_000]) metrics.observe('millrace_call_seconds', { outcome }, seconds);
    const found = samples(await metrics.text(), 'millrace_call_seconds');
    const bucket = (le: string) => found[`millrace_call_seconds_bucket{outcome="ok",le="${le}"}`];
    expect(['0.0025', '0.25', '0.5', '7200', '+Inf'].map(bucket)).toEqual([2, 2, 3, 3, 4]);
    expect(found['millrace_call_seconds_count{outcome="ok"}']).toBe(4);
    expect(found['millrace_call_seconds_sum{outcome="ok"}']).toBeCloseTo(10_000.3035);
  });

  it('ask all readers of a gauge, and leave out who fails or takes long', async () => {
    const clock = new ManualClock();
    const metrics = make(clock);
    const lag = (role: string, value: number) => [{ labels: { role, topic: 'events', partition: 0 }, value }];
    const gone = metrics.gauge('millrace_partition_lag_records', () => lag('gone', 1));
    metrics.gauge('millrace_partition_lag_records', () => lag('runner', 7));
    metrics.gauge('millrace_partition_lag_records', () => Promise.resolve(lag('projector', 8)));
    metrics.gauge('millrace_partition_lag_records', () => Promise.reject(new Error('no log')));
    metrics.gauge('millrace_partition_lag_records', () => {
      throw new Error('no log either');
    });
    metrics.gauge('millrace_queue_items', () => new Promise(() => undefined));
    gone();
    const text = metrics.text();
    await clock.turn(10_000);
    expect(samples(await text, 'millrace_partition_lag_records')).toEqual({
      'millrace_partition_lag_records{role="runner",topic="events",partition="0"}': 7,
      'millrace_partition_lag_records{role="projector",topic="events",partition="0"}': 8,
    });
    expect(samples(await text, 'millrace_queue_items')).toEqual({});
  });

  it('are written so that no label breaks out', async () => {
    const metrics = make();
    metrics.gauge('millrace_build_info', () => [
      { labels: { version: 'a"b\\c\nd', node: '', mode: 'dev', roles: '' }, value: 1 },
    ]);
    expect(await metrics.text()).toContain(
      'millrace_build_info{version="a\\"b\\\\c\\nd",node="",mode="dev",roles=""} 1\n',
    );
  });

  it('have those of the process with them, and all names from the beginning', async () => {
    const text = await make().text();
    expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
    for (const [name, { kind }] of Object.entries(METRICS)) expect(text).toContain(`\n# TYPE ${name} ${kind}\n`);
    expect(samples(text, 'millrace_dead_letters_total')).toEqual({ millrace_dead_letters_total: 0 });
    expect(text).toMatch(/\n$/);
  });

  it('are all on their page, and no others', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../docs/observability.md'), 'utf8');
    const rows = page.matchAll(/^\| `(millrace_\w+)` *\| (\w+) *\| ([^|]*?) *\| ([^|]*?) *\|$/gm);
    const told = [...rows].map(([, name, kind, labels = '', about]) => ({
      name,
      kind,
      labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
      about,
    }));
    const known = (Object.keys(METRICS) as MetricName[]).map((name) => {
      const { kind, labels, help } = METRICS[name];
      return { name, kind, labels: [...labels], about: help };
    });
    expect(told).toEqual(known);
  });
});

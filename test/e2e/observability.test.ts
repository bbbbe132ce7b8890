import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Api } from '../harness/api.client.js';
import { attributesOf, OtlpCollector, type CollectedSpan } from '../harness/otlp.collector.js';
import { done, ops, RawApp, type Behaviour } from '../harness/raw-app.js';
import { Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';

const STEP = 'a'.repeat(40);

/** Sums of all processes, by metric and labels. */
async function measured(server: Server): Promise<Map<string, number>> {
  const texts = await Promise.all(server.urls.map(async (url) => (await fetch(`${url}/metrics`)).text()));
  const sums = new Map<string, number>();
  for (const line of texts.join('\n').split('\n')) {
    const space = line.lastIndexOf(' ');
    if (line.startsWith('#') || space < 0) continue;
    const name = line.slice(0, space);
    sums.set(name, (sums.get(name) ?? 0) + Number(line.slice(space + 1)));
  }
  return sums;
}

function sumOf(sums: ReadonlyMap<string, number>, name: string, ...labels: readonly string[]): number {
  let sum = 0;
  for (const [key, value] of sums) {
    if (key.startsWith(`${name}{`) && labels.every((label) => key.includes(label))) sum += value;
  }
  return sum;
}

function header(): { readonly traceparent: string; readonly traceId: string; readonly spanId: string } {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  return { traceparent: `00-${traceId}-${spanId}-01`, traceId, spanId };
}

/** Plans a step, does it when it is called for, then ends. */
const oneStep: Behaviour = ({ target, body }) => {
  if (target === STEP) return ops({ id: STEP, op: 'StepRun', displayName: 'charge', data: 1 });
  if (Object.hasOwn(body.steps, STEP)) return done();
  return ops({ id: STEP, op: 'StepPlanned', displayName: 'charge', name: 'charge', opts: {} });
};

describe('what operators see', () => {
  let server: Server;
  let app: RawApp;
  beforeAll(async () => {
    server = await Server.start();
    app = await RawApp.start(server.api);
    // One after the other: what is registered is all that there is.
    for (const fn of ['lagged', 'traced']) await app.add(fn, () => done());
    await app.add('counted', { answers: () => done(1), config: { concurrency: [{ limit: 1 }] } });
  });
  afterAll(async () => {
    await app?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  it('is that every process is alive and ready', async () => {
    for (const url of server.urls) {
      const api = new Api(url);
      for (const path of ['/health', '/health/live']) {
        const { status, body } = await api.request('GET', path);
        expect([path, status, body]).toEqual([path, 200, { status: 200, message: 'OK' }]);
      }
      // In a cluster partitions may change hands for a while.
      let seen: unknown;
      await until(
        async () => {
          const { status, text } = await api.request('GET', '/health/ready');
          seen = text;
          return status === 200 || undefined;
        },
        { what: () => `${url} to be ready; it says ${String(seen)}` },
      );
      expect(seen).toBe('{"status":200,"message":"OK"}');
    }
  });

  it('is what happened, in numbers', async () => {
    const before = await measured(server);
    await app.play('counted');
    await server.api.send('nonsense');
    const rise = async (name: string, ...labels: readonly string[]) =>
      sumOf(await measured(server), name, ...labels) - sumOf(before, name, ...labels);

    await until(async () => (await rise('millrace_runs_ended_total', 'status="completed"')) >= 1 || undefined, {
      what: 'the end of the run to be counted',
    });
    expect(await rise('millrace_events_received_total', 'result="accepted"')).toBeGreaterThanOrEqual(1);
    expect(await rise('millrace_events_received_total', 'result="refused"')).toBe(1);
    expect(await rise('millrace_commands_total', 'type="ScheduleRun"', 'result="accepted"')).toBeGreaterThanOrEqual(1);
    expect(await rise('millrace_call_seconds_count', 'outcome="ok"')).toBeGreaterThanOrEqual(1);
    for (const topic of ['events', 'commands', 'transitions']) {
      expect(await rise('millrace_append_records_total', `topic="${topic}"`), topic).toBeGreaterThanOrEqual(1);
      expect(await rise('millrace_append_seconds_count', `topic="${topic}"`), topic).toBeGreaterThanOrEqual(1);
    }
    const now = await measured(server);
    expect(now.get('millrace_step_latency_seconds_count')).toBeGreaterThanOrEqual(1);
    expect(now.get('millrace_partitions_served')).toBeGreaterThanOrEqual(1);
    expect(now.get('process_cpu_seconds_total')).toBeGreaterThan(0);
    expect(sumOf(now, 'millrace_build_info', 'version="')).toBe(server.urls.length);
    const { headers } = await server.api.request('GET', '/metrics');
    expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  });

  it('is that nothing is left to do, once all is done', async () => {
    await app.play('lagged');
    let sums = new Map<string, number>();
    await until(
      async () => {
        sums = await measured(server);
        return sumOf(sums, 'millrace_partition_lag_records', 'role="runner"') === 0 || undefined;
      },
      { what: () => `no lag of the runner; there is ${JSON.stringify([...sums])}` },
    );
    for (const topic of ['events', 'commands']) {
      const shown = [...sums.keys()].filter((key) => key.includes('role="runner"') && key.includes(`"${topic}"`));
      expect(shown.length, topic).toBe(sums.get('millrace_partitions_served'));
    }
    expect([...sums.keys()].some((key) => key.includes('role="projector"'))).toBe(true);
    expect([...sums.keys()].filter((key) => key.startsWith('millrace_queue_items'))).toHaveLength(3);
  });

  it("is the sender's trace at the app, though nobody here makes spans", async () => {
    const { traceparent } = header();
    const [eventId] = (await server.api.send({ name: app.event('traced') }, { traceparent })).body.ids;
    const { run_id: runId } = await server.api.endOf(eventId ?? '');
    expect(app.callsOf(runId).map(({ headers }) => headers['traceparent'])).toEqual([traceparent]);

    const [other] = (await server.api.send({ name: app.event('traced') }, { traceparent: '00-none-01' })).body.ids;
    const without = await server.api.endOf(other ?? '');
    expect(app.callsOf(without.run_id).map(({ headers }) => headers['traceparent'])).toEqual([undefined]);
  });
});

describe('after a crash', () => {
  it('nothing that happened before is counted again', async () => {
    // No checkpoint comes in between: everything is folded once more.
    await using server = await Server.start({ env: { MILLRACE_CHECKPOINT_INTERVAL: '600' } });
    await using app = await RawApp.start(server.api);
    await app.add('before', () => done());
    for (let n = 0; n < 3; n++) await app.play('before');
    await server.kill();
    await server.start();
    await app.add('after', () => done());
    const { run } = await app.play('after');
    expect(run.status).toBe('Completed');
    const ended = await until(
      async () => {
        const count = sumOf(await measured(server), 'millrace_runs_ended_total');
        return count > 0 ? count : undefined;
      },
      { what: 'the end of the run to be counted' },
    );
    expect(ended).toBe(1);
    const commands = await measured(server);
    expect(sumOf(commands, 'millrace_commands_total', 'type="ScheduleRun"', 'result="accepted"')).toBe(1);
  });
});

describe('spans', () => {
  let collector: OtlpCollector;
  let server: Server;
  let app: RawApp;
  beforeAll(async () => {
    collector = await OtlpCollector.start();
    server = await Server.start({ env: { MILLRACE_OTLP_ENDPOINT: collector.url } });
    app = await RawApp.start(server.api);
    await app.add('two', oneStep);
    await app.add('child', () => done('c'));
    await app.add('parent', ({ body }) =>
      Object.keys(body.steps).length > 0
        ? done('p')
        : ops({
            id: STEP,
            op: 'InvokeFunction',
            displayName: 'ask',
            opts: { function_id: `${app.id}-child`, payload: { data: {} }, timeout: '1h' },
          }),
    );
  });
  afterAll(async () => {
    await app?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    await collector?.[Symbol.asyncDispose]();
  });

  const named = (spans: readonly CollectedSpan[], name: string) => spans.filter((span) => span.name === name);
  /** Those of a trace, once there are so many. */
  const spansOf = (traceId: string, count: number) =>
    until(
      () => {
        const found = collector.spans.filter((span) => span.traceId === traceId);
        return found.length >= count ? found : undefined;
      },
      {
        what: () =>
          `${count} spans of ${traceId}; there are ${JSON.stringify(collector.spans.map(({ name, traceId: of }) => [name, of]))}`,
      },
    );

  it('lead from the sender over event and run to each call, and on into the app', async () => {
    const { traceparent, traceId, spanId } = header();
    const [eventId] = (await server.api.send({ name: app.event('two') }, { traceparent })).body.ids;
    const { run_id: runId } = await server.api.endOf(eventId ?? '');
    const calls = app.callsOf(runId);
    const spans = await spansOf(traceId, 2 + calls.length);
    expect(spans).toHaveLength(2 + calls.length);

    const [event] = named(spans, 'event receive');
    const [run] = named(spans, 'run');
    expect(event?.parentSpanId).toBe(spanId);
    expect(run?.parentSpanId).toBe(event?.spanId);
    expect(run && attributesOf(run)).toMatchObject({
      'millrace.run.id': runId,
      'millrace.function': `${app.id}-two`,
      'millrace.run.status': 'completed',
    });
    const ofCalls = named(spans, 'call');
    expect(new Set(ofCalls.map((span) => span.parentSpanId))).toEqual(new Set([run?.spanId]));
    expect(calls.map(({ headers }) => headers['traceparent']).sort()).toEqual(
      ofCalls.map((span) => `00-${traceId}-${span.spanId}-01`).sort(),
    );
    expect(ofCalls.map(attributesOf)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ 'millrace.run.id': runId, 'millrace.step': 'step', 'millrace.outcome': 'ok' }),
        expect.objectContaining({ 'millrace.step': STEP, 'millrace.step.name': 'charge', 'millrace.attempt': 0 }),
      ]),
    );
    for (const call of ofCalls) {
      expect(BigInt(call.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(run?.startTimeUnixNano ?? 0));
    }
  });

  it('begin a trace where the sender has none, and go on into runs that steps invoke', async () => {
    const eventId = await server.api.emit(app.event('parent'));
    const parent = await server.api.endOf(eventId);
    const parentCall = app.callsOf(parent.run_id)[0]?.headers['traceparent'];
    const traceId = String(parentCall).split('-')[1] ?? '';
    const spans = await spansOf(traceId, 1 + 2 + 3);
    const run = (fn: string) =>
      named(spans, 'run').find((span) => attributesOf(span)['millrace.function'] === `${app.id}-${fn}`);
    expect(run('parent')?.parentSpanId).toBe(named(spans, 'event receive')[0]?.spanId);
    expect(named(spans, 'event receive')[0]?.parentSpanId ?? '').toBe('');
    expect(run('child')?.parentSpanId).toBe(run('parent')?.spanId);
  });
});

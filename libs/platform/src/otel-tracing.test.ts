import { InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Call, Run } from '#core/run/run.state.js';
import { parseTraceparent, runSpanId, runTraceId } from '#core/trace.js';
import { TracingOff, type ReceiveSpan } from '#ports/tracing.port.js';
import { aRun } from '#testkit/a-run.js';
import { OtelTracing } from './otel-tracing.js';

const SENDER = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const UNSAMPLED = SENDER.replace(/01$/, '00');
const call: Call = { target: 'step', seq: 0, generation: 1, attempt: 2, dueAt: 0, gateway: false, progressed: false };
const ended = (id: string, more: Partial<Run> = {}) => aRun(id, { state: 'completed', createdAt: 1_000, ...more });
const traced = ({ trace }: ReceiveSpan) => (trace === undefined ? {} : { trace });

describe('spans', () => {
  const exporter = new InMemorySpanExporter();
  /** Each process has its own: they know nothing of each other. */
  const process = (env: Record<string, string> = {}) => new OtelTracing(new SimpleSpanProcessor({ exporter }), env);
  const spans = () => exporter.getFinishedSpans();
  const the = (name: string): ReadableSpan => {
    const found = spans().filter((span) => span.name === name);
    expect(found, name).toHaveLength(1);
    return found[0] as ReadableSpan;
  };
  beforeEach(() => exporter.reset());

  it('lead from the sender to the call, made in three processes', () => {
    const received = process().receive(SENDER);
    received.end(1);
    const run = aRun('R', traced(received));
    const made = process().call(run, call);
    made.end('ok');
    process().ended(ended('R', traced(received)), 3_500);

    const [event, ofRun, ofCall] = [the('event receive'), the('run'), the('call')];
    const traces = new Set(spans().map((span) => span.spanContext().traceId));
    expect([...traces]).toEqual(['0af7651916cd43dd8448eb211c80319c']);
    expect(event.parentSpanContext?.spanId).toBe('b7ad6b7169203331');
    expect(ofRun.parentSpanContext?.spanId).toBe(event.spanContext().spanId);
    expect(ofCall.parentSpanContext?.spanId).toBe(ofRun.spanContext().spanId);
    expect(parseTraceparent(made.traceparent)).toMatchObject({ spanId: ofCall.spanContext().spanId, sampled: true });
    expect([ofRun.startTime, ofRun.endTime]).toEqual([
      [1, 0],
      [3, 500_000_000],
    ]);
    expect(ofCall.attributes).toMatchObject({
      'millrace.run.id': 'R',
      'millrace.function': 'app-f',
      'millrace.attempt': 2,
    });
  });

  it('of a run whose event came without a trace begin one, the same in every process', () => {
    const run = aRun('R');
    const made = process().call(run, call);
    made.end('no_answer', 'http_unreachable');
    process().ended(ended('R', { state: 'failed' }), 2_000);
    expect(the('run').parentSpanContext).toBeUndefined();
    expect(the('run').spanContext()).toMatchObject({ traceId: runTraceId('R'), spanId: runSpanId('R') });
    expect(the('run').status.code).toBe(2);
    expect(the('call').parentSpanContext).toMatchObject({ traceId: runTraceId('R'), spanId: runSpanId('R') });
    expect(the('call').attributes).toMatchObject({ 'error.type': 'http_unreachable' });
  });

  it('of an invoked run stand below the run that invoked it', () => {
    process().ended(ended('child', { trace: SENDER, parents: [{ runId: 'R', stepId: 's' }] }), 2_000);
    expect(the('run').parentSpanContext?.spanId).toBe(runSpanId('R'));
  });

  it('of the same end, decided twice, are the same span', () => {
    for (const owner of [process(), process()]) owner.ended(ended('R', { trace: SENDER }), 2_000);
    const ids = spans().map((span) => span.spanContext().spanId);
    expect(ids).toEqual([runSpanId('R'), runSpanId('R')]);
  });

  it('are not kept where the sender keeps none; the context goes on all the same', () => {
    const received = process().receive(UNSAMPLED);
    received.end(1);
    const made = process().call(aRun('R', traced(received)), call);
    made.end('ok');
    process().ended(ended('R', traced(received)), 2_000);
    expect(spans()).toEqual([]);
    expect(parseTraceparent(made.traceparent)).toMatchObject({
      traceId: '0af7651916cd43dd8448eb211c80319c',
      sampled: false,
    });
  });

  it('are sampled as the standard variables say, a trace whole or not at all', () => {
    const half = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.5' };
    const kept = new Map<string, number>();
    for (let n = 0; n < 200; n++) {
      const run = aRun(`R${n}`);
      process(half).call(run, call).end('ok');
      process(half).ended(ended(`R${n}`), 2_000);
    }
    for (const span of spans()) kept.set(span.spanContext().traceId, (kept.get(span.spanContext().traceId) ?? 0) + 1);
    expect(kept.size).toBeGreaterThan(50);
    expect(kept.size).toBeLessThan(150);
    expect(new Set(kept.values())).toEqual(new Set([2]));
    exporter.reset();
    process({ OTEL_TRACES_SAMPLER: 'always_off' }).receive(undefined).end(1);
    expect(spans()).toEqual([]);
  });

  it('say whose they are, in the words of the standard variables where there are any', () => {
    process().receive(undefined).end(1);
    process({ OTEL_RESOURCE_ATTRIBUTES: 'team=a%20b, service.name=x,bad,odd=%zz', OTEL_SERVICE_NAME: 'orders' })
      .receive(undefined)
      .end(1);
    const [plain, told] = spans().map((span) => span.resource.attributes);
    expect(plain).toMatchObject({ 'service.name': 'millrace' });
    expect(told).toMatchObject({ 'service.name': 'orders', team: 'a b', odd: '%zz' });
  });

  it('are not made where tracing is off: what came goes on as it is', () => {
    const off = new TracingOff();
    const received = off.receive(SENDER);
    expect(received.trace).toBe(SENDER);
    expect(off.receive('nonsense').trace).toBeUndefined();
    expect(off.call(aRun('R', traced(received))).traceparent).toBe(SENDER);
    expect(off.call(aRun('R')).traceparent).toBeUndefined();
  });
});

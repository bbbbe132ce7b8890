import {
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Span,
  type SpanContext,
  type Tracer,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  RandomIdGenerator,
  SamplingDecision,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace';
import type { Call, Run } from '#core/run/run.state.js';
import { parseTraceparent, runSpanId, runTraceId, traceparentOf } from '#core/trace.js';
import type { EpochMs } from '#core/words.js';
import type { Logger } from '#ports/logger.port.js';
import { Tracing, type CallSpan, type ReceiveSpan } from '#ports/tracing.port.js';
import { resourceOf } from './otel-resource.js';

type Variables = Readonly<Record<string, string | undefined>>;

const HANDED_OVER_MS = 1_000;
/** A collector that does not answer holds no server up. */
const CLOSE_MS = 3_000;

/** Ids as they come, but for a span whose ids follow from its run. */
class Ids extends RandomIdGenerator {
  private fixed: { readonly traceId: string; readonly spanId: string } | undefined;

  /** The span that is started meanwhile gets these ids. */
  as<T>(fixed: { readonly traceId: string; readonly spanId: string }, start: () => T): T {
    this.fixed = fixed;
    try {
      return start();
    } finally {
      this.fixed = undefined;
    }
  }

  override generateTraceId(): string {
    return this.fixed?.traceId ?? super.generateTraceId();
  }

  override generateSpanId(): string {
    return this.fixed?.spanId ?? super.generateSpanId();
  }
}

/** Spans by OpenTelemetry, handed to a collector in batches. */
export class OtelTracing extends Tracing {
  private readonly ids = new Ids();
  private readonly provider: TracerProvider;
  private readonly tracer: Tracer;

  private readonly sampler: Sampler;

  /** @param env the standard variables: who makes the spans, and which traces are kept */
  constructor(processor: SpanProcessor, env: Variables) {
    super();
    this.sampler = samplerOf(env);
    this.provider = new TracerProvider({
      resource: resourceOf(env),
      spanProcessors: [processor],
      idGenerator: this.ids,
      sampler: this.sampler,
    });
    this.tracer = this.provider.getTracer('millrace');
  }

  /** @param endpoint base URL of an OTLP collector, HTTP with JSON */
  static open(endpoint: string, env: Variables, logger: Logger): OtelTracing {
    const tell = (message: string) => logger.warn({ reason: message.slice(0, 500) }, 'spans could not be handed over');
    const quiet = () => undefined;
    const told = { error: tell, warn: tell, info: quiet, debug: quiet, verbose: quiet };
    diag.setLogger(told, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
    const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` });
    return new OtelTracing(new BatchSpanProcessor({ exporter, scheduledDelayMillis: HANDED_OVER_MS }), env);
  }

  override receive(header: string | undefined): ReceiveSpan {
    const sender = parseTraceparent(header);
    const span = this.tracer.startSpan('event receive', { kind: SpanKind.SERVER }, below(sender && remote(sender)));
    return {
      trace: headerOf(span),
      end: (events, error) => {
        span.setAttribute('millrace.events', events);
        finish(span, error);
      },
    };
  }

  override call(run: Run, call: Call): CallSpan {
    const attributes = {
      ...attributesOf(run),
      'millrace.attempt': call.attempt,
      'millrace.step': call.target,
      ...named('millrace.step.name', Object.hasOwn(run.steps, call.target) ? run.steps[call.target]?.name : undefined),
    };
    const parent = below(this.contextOf(run));
    const span = this.tracer.startSpan('call', { kind: SpanKind.CLIENT, attributes }, parent);
    return {
      traceparent: headerOf(span),
      end: (outcome, error) => {
        span.setAttribute('millrace.outcome', outcome);
        finish(span, error);
      },
    };
  }

  /** Whoever decides the same end once more makes the same span. */
  override ended(run: Run, endedAt: EpochMs): void {
    const { traceId, spanId } = this.contextOf(run);
    const event = parseTraceparent(run.trace);
    const [invoker] = run.parents;
    const parent = event && remote(invoker ? { ...event, spanId: runSpanId(invoker.runId) } : event);
    const attributes = {
      ...attributesOf(run),
      'millrace.run.status': run.state,
      'millrace.event.name': run.eventName,
      'millrace.event.ids': run.eventIds.slice(0, EVENT_IDS_MAX),
      'millrace.steps': run.stepCount,
      ...named('millrace.invoked_by', invoker?.runId),
    };
    const span = this.ids.as({ traceId, spanId }, () =>
      this.tracer.startSpan('run', { attributes, startTime: new Date(run.createdAt) }, below(parent)),
    );
    if (run.state === 'failed') span.setStatus({ code: SpanStatusCode.ERROR });
    span.end(new Date(endedAt));
  }

  override async close(): Promise<void> {
    const late = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_MS).unref());
    await Promise.race([this.provider.shutdown(), late]);
  }

  /** The run's span, which may be made elsewhere, and is made when the run ends. */
  private contextOf({ id, trace: header }: Run): SpanContext {
    const event = parseTraceparent(header);
    const traceId = event?.traceId ?? runTraceId(id);
    return remote({ traceId, spanId: runSpanId(id), sampled: event?.sampled ?? this.keeps(traceId) });
  }

  /** Of a trace that begins here every process must say the same. */
  private keeps(traceId: string): boolean {
    const { decision } = this.sampler.shouldSample(ROOT_CONTEXT, traceId, 'run', SpanKind.INTERNAL, {}, []);
    return decision === SamplingDecision.RECORD_AND_SAMPLED;
  }
}

const EVENT_IDS_MAX = 10;

function attributesOf(run: Run): Attributes {
  return {
    'millrace.run.id': run.id,
    'millrace.function': run.functionSlug,
    'millrace.app': run.appName,
    'millrace.env': run.env,
  };
}

function named(name: string, value: string | undefined): Attributes {
  return value === undefined ? {} : { [name]: value };
}

function remote({ traceId, spanId, sampled }: { traceId: string; spanId: string; sampled: boolean }): SpanContext {
  return { traceId, spanId, traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE, isRemote: true };
}

function below(parent: SpanContext | undefined): Context {
  return parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
}

/** Also of a span that nobody keeps: others may keep theirs. */
function headerOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return traceparentOf({ traceId, spanId, sampled: (traceFlags & TraceFlags.SAMPLED) !== 0 });
}

function finish(span: Span, error: string | undefined): void {
  if (error !== undefined) {
    span.setAttribute('error.type', error);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

/** The samplers of the standard variables OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. */
function samplerOf(env: Variables): Sampler {
  const [, parentBased, kind] = /^(parentbased_)?(\w+)$/.exec(env['OTEL_TRACES_SAMPLER'] ?? '') ?? [];
  const root = rootSampler(kind, Number(env['OTEL_TRACES_SAMPLER_ARG'] ?? 1));
  return kind === undefined || parentBased !== undefined ? new ParentBasedSampler({ root }) : root;
}

function rootSampler(kind: string | undefined, ratio: number): Sampler {
  if (kind === 'always_off') return new AlwaysOffSampler();
  return kind === 'traceidratio' ? new TraceIdRatioBasedSampler(ratio) : new AlwaysOnSampler();
}

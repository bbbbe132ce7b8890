import { hash } from 'node:crypto';

/** W3C trace context: https://www.w3.org/TR/trace-context/#traceparent-header. */
export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits: the span that what follows belongs to. */
  readonly spanId: string;
  /** Whether somebody keeps the spans of this trace. */
  readonly sampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;

/** @returns undefined where the header is none: whoever gets such a one goes on as if there were none */
export function parseTraceparent(header: string | undefined): TraceContext | undefined {
  const [, version, traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(header?.trim() ?? '') ?? [];
  if (version === undefined || version === 'ff' || ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined;
  if (version === '00' && more !== undefined) return undefined;
  return { traceId, spanId, sampled: (parseInt(flags, 16) & 1) === 1 };
}

export function traceparentOf({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

/** The header where it is one. */
export function validTraceparent(header: string | undefined): { readonly trace?: string } {
  const context = parseTraceparent(header);
  return context ? { trace: traceparentOf(context) } : {};
}

/** The span of a run: several processes make spans below it, and none of them asks another for its id. */
export function runSpanId(runId: string): string {
  return hash('sha256', `span ${runId}`).slice(0, 16);
}

/** The trace of a run whose event came without one. */
export function runTraceId(runId: string): string {
  return hash('sha256', `trace ${runId}`).slice(0, 32);
}

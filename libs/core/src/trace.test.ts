import { describe, expect, it } from 'vitest';
import { parseTraceparent, runSpanId, runTraceId, traceparentOf, validTraceparent } from './trace.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

describe('a W3C trace context', () => {
  it('is read and written as it came', () => {
    const header = `00-${TRACE}-${SPAN}-01`;
    const context = parseTraceparent(header);
    expect(context).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true });
    expect(context && traceparentOf(context)).toBe(header);
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-00`)?.sampled).toBe(false);
  });

  it('may be of a later version, which may say more', () => {
    expect(parseTraceparent(`01-${TRACE}-${SPAN}-03-more`)).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true });
    expect(validTraceparent(`cc-${TRACE}-${SPAN}-01`)).toEqual({ trace: `00-${TRACE}-${SPAN}-01` });
  });

  it.each([
    ['nothing', undefined],
    ['an empty text', ''],
    ['another text', '00-a-b-01'],
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['more than version 00 has', `00-${TRACE}-${SPAN}-01-more`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['a span of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['capitals', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['a line more', `00-${TRACE}-${SPAN}-01\r\nx: y`],
  ])('is none where it is %s', (_what, header) => {
    expect(parseTraceparent(header)).toBeUndefined();
    expect(validTraceparent(header)).toEqual({});
  });

  it('of a run follows from its id, wherever it is asked', () => {
    expect(runSpanId('01R')).toMatch(/^[0-9a-f]{16}$/);
    expect(runTraceId('01R')).toMatch(/^[0-9a-f]{32}$/);
    expect(runSpanId('01R')).toBe(runSpanId('01R'));
    expect(runSpanId('01R')).not.toBe(runSpanId('01S'));
  });
});

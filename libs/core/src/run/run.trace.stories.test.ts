import { describe, expect, it } from 'vitest';
import { complete, given, invokes, replies, scheduled, started, type Story } from '#testkit/run.story.js';
import { BATCH, Control, DEBOUNCE, eventOf, functionOf } from '../admission/admission.story.js';
import { planAdmission, planAfterBatch, planAfterDebounce } from '../admission/admission.plan.js';
import type { AdmissionDecision } from '../admission/admission.decision.js';
import type { AdmissionOf } from '../admission/admission.js';

const of = (span: string) => `00-0af7651916cd43dd8448eb211c80319c-${span.padStart(16, '0')}-01`;
const [A, B] = [of('a'), of('b')];

const tracesOf = ({ sent }: Story) =>
  sent.flatMap((effect) => (effect.kind === 'event' ? [[effect.event.name, effect.event.trace]] : []));

describe('the trace of an event', () => {
  it('stays with its run, and goes on with the events that the run makes', () => {
    const story = given(scheduled({ trace: A }));
    expect(story.now.trace).toBe(A);
    story.when(started(), replies([invokes('i')]));
    expect(tracesOf(story)).toEqual([['inngest/function.invoked', A]]);
    const ended = given(scheduled({ trace: A }), started(), replies([complete()]));
    expect(tracesOf(ended)).toEqual([['inngest/function.finished', A]]);
  });

  it('is nowhere where the event came without one', () => {
    const story = given(scheduled(), started(), replies([complete()]));
    expect(story.now).not.toHaveProperty('trace');
    for (const effect of story.sent) if (effect.kind === 'event') expect(effect.event).not.toHaveProperty('trace');
  });

  const fn = functionOf();
  const plan = (event: ReturnType<typeof eventOf>) => {
    const planned = planAdmission({ fn, event, runId: `run-${event.internalId}`, at: event.receivedAt, paused: false });
    if (planned.kind !== 'offer') throw new Error('refused');
    return planned.offer.run;
  };
  const runOf = ({ effects }: AdmissionDecision) => {
    const found = effects.flatMap((one) =>
      one.kind === 'command' && one.command.type === 'ScheduleRun' ? [one.command] : [],
    );
    return found[0];
  };

  it('comes to the run from the event', () => {
    expect(plan(eventOf('a', { trace: A })).trace).toBe(A);
    expect(plan(eventOf('a'))).not.toHaveProperty('trace');
  });

  it('is that of the event which a debounce lets through', () => {
    const control = new Control(DEBOUNCE.key);
    control.offer(DEBOUNCE, eventOf('a', { trace: A }), 0);
    control.offer(DEBOUNCE, eventOf('b', { trace: B }), 1);
    const { window, turn } = control.state as AdmissionOf<'debounce'>;
    if (!window) throw new Error('no window');
    const offer = planAfterDebounce({ fn, window, at: window.dueAt, paused: false });
    expect(runOf(control.fire(turn, 10_000, offer))?.trace).toBe(B);
  });

  it('is that of the first event of a batch, whatever closes it', () => {
    const traced = (id: string, trace?: string) => {
      const event = eventOf(id, trace === undefined ? {} : { trace });
      return [event, { run: plan(event) }] as const;
    };
    const full = new Control(BATCH.key);
    const [a, b, c] = [traced('a', A), traced('b', B), traced('c')];
    full.offer(BATCH, a[0], 0, a[1]);
    full.offer(BATCH, b[0], 0, b[1]);
    expect(runOf(full.offer(BATCH, c[0], 0, c[1]))?.trace).toBe(A);

    const untraced = new Control(BATCH.key);
    for (const [event, parts] of [c, b]) untraced.offer(BATCH, event, 0, parts);
    expect(runOf(untraced.offer(BATCH, a[0], 0, a[1]))).not.toHaveProperty('trace');

    const late = new Control(BATCH.key);
    late.offer(BATCH, c[0], 0, c[1]);
    late.offer(BATCH, b[0], 0, b[1]);
    const { buffer, turn } = late.state as AdmissionOf<'batch'>;
    if (!buffer) throw new Error('no buffer');
    const offer = planAfterBatch({ fn, buffer, at: buffer.dueAt, paused: false });
    const run = runOf(late.fire(turn, 10_000, offer));
    expect(run?.eventIds).toEqual(['c', 'b']);
    expect(run).not.toHaveProperty('trace');
  });
});

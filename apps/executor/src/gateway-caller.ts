import { LIMITS } from '#core/limits.js';
import { isResolved, type Call, type Run, type Step } from '#core/run/run.state.js';
import type { Json } from '#core/words.js';
import { AppUnreachable, type AppTransport } from '#ports/app-transport.port.js';
import type { Clock } from '#ports/clock.port.js';
import {
  gatewayFailure,
  gatewayOutcome,
  gatewayRefused,
  gatewayRequest,
  type GatewayStep,
} from '#protocol/gateway.request.js';
import type { Answered, AppCaller } from './app-caller.js';
import type { RequestVault } from './request-vault.js';

/** Addresses that another attempt would refuse as well. */
const FINAL = new Set(['url_refused', 'url_invalid', 'redirect_refused']);

/** Makes the calls that functions leave to the server: `step.fetch` and `step.ai.infer`. */
export class GatewayCaller {
  constructor(
    private readonly transport: AppTransport,
    private readonly app: AppCaller,
    private readonly vault: RequestVault,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {}

  /** @param traceparent for the app, should it be asked: where its requests go to is not told of the trace */
  async call(run: Run, call: Call, traceparent: string | undefined): Promise<Answered> {
    const known = Object.hasOwn(run.steps, call.target) ? run.steps[call.target] : undefined;
    if (!known || isResolved(known)) return { outcome: { kind: 'ops', ops: [], noRetry: false } };
    const step: GatewayStep = { id: known.id, name: known.name, kind: known.kind === 'ai' ? 'ai' : 'fetch' };
    const kept = this.vault.find(run.id, step.id);
    const found = kept === undefined ? await this.askAgain(run, call, known, traceparent) : { request: kept };
    if (!('request' in found)) return found;
    const answered = await this.make(step, found.request);
    // A failed attempt is followed by another, which wants the request again.
    if (answered.outcome.kind === 'ops' && answered.outcome.ops.some(({ op }) => op === 'StepError'))
      this.vault.keep(run.id, step.id, found.request);
    else this.vault.forget(run.id, step.id);
    return answered;
  }

  private async make(step: GatewayStep, request: Json): Promise<Answered> {
    const call = gatewayRequest(step.kind, request);
    if ('fault' in call) return { outcome: gatewayRefused(step, call.fault) };
    const { method, url, headers, body } = call;
    try {
      const reply = await this.transport.fetch({
        method,
        url,
        headers,
        ...(body === undefined ? {} : { body }),
        timeoutMs: this.timeoutMs,
        bodyBytesMax: LIMITS.replyBytesMax,
      });
      return { outcome: gatewayOutcome(step, call, reply, this.clock.now()) };
    } catch (error) {
      if (!(error instanceof AppUnreachable)) throw error;
      return { outcome: gatewayFailure(step, call, error.message, FINAL.has(error.code)) };
    }
  }

  /** The request was lost with a process: the function names it again. Nothing of its answer but that is used. */
  private async askAgain(
    run: Run,
    call: Call,
    step: Step,
    traceparent: string | undefined,
  ): Promise<{ readonly request: Json } | Answered> {
    const answered = await this.app.ask(run, call, traceparent);
    if (answered.outcome.kind === 'error') return answered;
    const again = answered.outcome.ops.find(
      (op) => op.id === step.id && (op.op === 'Gateway' || op.op === 'AIGateway'),
    );
    if (again && 'request' in again) return { request: again.request };
    return { outcome: { kind: 'ops', ops: [], noRetry: false } };
  }
}

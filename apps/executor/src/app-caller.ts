import { LIMITS } from '#core/limits.js';
import { callView, type CallView } from '#core/run/run.call.js';
import type { Outcome } from '#core/run/run.ops.js';
import { workId } from '#core/run/run.owed.js';
import type { Call, Run } from '#core/run/run.state.js';
import type { Access } from '#ports/access.port.js';
import { AppUnreachable, type AppTransport } from '#ports/app-transport.port.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { Ids } from '#ports/ids.port.js';
import { readReply, unreachable } from '#protocol/call.reply.js';
import { callRequest } from '#protocol/call.request.js';

export interface Answered {
  readonly outcome: Outcome;
  readonly requestVersion?: number;
}

/** Calls a function in its app, and reads the answer. What goes wrong is an outcome, too. */
export class AppCaller {
  constructor(
    private readonly transport: AppTransport,
    private readonly catalog: Catalog,
    private readonly access: Access,
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly timeoutMs: number,
  ) {}

  /** @param traceparent for the header */
  call(run: Run, call: Call, traceparent: string | undefined): Promise<Answered> {
    return this.send(run, callView(run, call), workId(run, call), traceparent);
  }

  /** Enters the function only to hear which steps it wants: nothing is run, and what it answers is not reported. */
  ask(run: Run, call: Call, traceparent: string | undefined): Promise<Answered> {
    const entry: Call = { ...call, target: 'step', gateway: false, attempt: 0 };
    const view = { ...callView(run, entry), disableImmediateExecution: true };
    return this.send(run, view, workId(run, call), traceparent);
  }

  private async send(run: Run, view: CallView, jobId: string, traceparent: string | undefined): Promise<Answered> {
    const fn = this.catalog.function(run.functionId);
    if (!fn)
      return { outcome: unreachable('function_unknown', `The function ${run.functionSlug} is not synced any more`) };
    const { access } = this;
    const request = callRequest({
      view,
      url: fn.config.url,
      sdk: this.catalog.app(fn.appId)?.sdk ?? '',
      serverKind: access.kind,
      requestId: this.ids.ulid(),
      jobId,
      now: this.clock.now(),
      ...(access.signingKeys[0] === undefined ? {} : { signingKey: access.signingKeys[0] }),
      ...(traceparent === undefined ? {} : { traceparent }),
    });
    try {
      const reply = await this.transport.send({
        method: 'POST',
        url: request.url,
        headers: request.headers,
        body: request.body,
        timeoutMs: this.timeoutMs,
        bodyBytesMax: LIMITS.replyBytesMax,
      });
      return readReply(reply, { now: this.clock.now(), signingKeys: access.signingKeys });
    } catch (error) {
      if (error instanceof AppUnreachable) return { outcome: unreachable(error.code, error.message) };
      throw error;
    }
  }
}

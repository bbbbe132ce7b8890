import { Body, Controller, HttpCode, Post, UseGuards } from '@nestjs/common';
import { Fault } from '#core/faults.js';
import { canonical } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import { signalKey } from '#core/signal/signal.js';
import { readJson } from '#platform/http.js';
import { Access } from '#ports/access.port.js';
import { Clock } from '#ports/clock.port.js';
import { Letterbox } from '#ports/letterbox.port.js';
import { BearerGuard } from './bearer.guard.js';
import { envelope } from './envelope.js';

const SIGNAL_CHARS_MAX = 1_024;

/** `POST /v1/signals {signal, data}`: wakes the one step that waits for it. events-api.md section 5. */
@Controller('v1/signals')
@UseGuards(BearerGuard)
export class SignalsController {
  constructor(
    private readonly letterbox: Letterbox,
    private readonly access: Access,
    private readonly clock: Clock,
  ) {}

  @Post()
  @HttpCode(200)
  async send(@Body() body: unknown) {
    const request = (await readJson(body, LIMITS.stepOutputBytesMax)) as
      { signal?: unknown; data?: unknown } | null | undefined;
    const signal = request?.signal;
    if (typeof signal !== 'string' || signal === '' || signal.length > SIGNAL_CHARS_MAX) {
      throw new Fault(
        'request_invalid',
        {},
        { message: `signal must be a text of 1 to ${SIGNAL_CHARS_MAX} characters` },
      );
    }
    const { env } = this.access;
    const at = this.clock.now();
    const answer = await this.letterbox.ask(signalKey(env, signal), {
      type: 'SendSignal',
      env,
      signal,
      at,
      data: canonical(request?.data ?? null),
    });
    const delivered = answer.transitions.find((transition) => transition.type === 'SignalDelivered');
    if (delivered?.runId === undefined) throw new Fault('signal_unknown');
    return envelope({ run_id: delivered.runId }, at);
  }
}

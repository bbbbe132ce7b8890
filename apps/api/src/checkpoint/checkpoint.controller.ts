import { Body, Controller, HttpCode, Param, Post, UseGuards } from '@nestjs/common';
import { Fault } from '#core/faults.js';
import { LIMITS } from '#core/limits.js';
import { seqOfQiId } from '#core/run/run.call.js';
import { readJson } from '#platform/http.js';
import { Access } from '#ports/access.port.js';
import { Clock } from '#ports/clock.port.js';
import { Letterbox } from '#ports/letterbox.port.js';
import { readCheckpoint } from '#protocol/checkpoint.read.js';
import { BearerGuard } from '../bearer.guard.js';

/** Most of a checkpoint's body: a few step outputs and what SDKs add to them. */
const BODY_BYTES_MAX = 2 * LIMITS.replyBytesMax;

/**
 * Steps that a call in progress has finished: execution.md section 8.
 *     200  they are stored, go on          409  another dispatch owns the work, or the run has ended: stop
 *     400  not of this kind, unknown run   413  a step or the run would be too large
 */
@Controller('v1/checkpoint')
@UseGuards(BearerGuard)
export class CheckpointController {
  constructor(
    private readonly letterbox: Letterbox,
    private readonly access: Access,
    private readonly clock: Clock,
  ) {}

  @Post(':runId/async')
  @HttpCode(200)
  async steps(@Param('runId') runId: string, @Body() body: unknown): Promise<void> {
    const now = this.clock.now();
    const { qiId, generationId, ops } = readCheckpoint(await readJson(body, BODY_BYTES_MAX), runId, now);
    const seq = seqOfQiId(runId, qiId);
    if (seq === undefined) throw new Fault('checkpoint_refused', { runId }, { message: 'queue item not found' });
    const answer = await this.letterbox.ask(runId, {
      type: 'CheckpointSteps',
      runId,
      env: this.access.env,
      at: now,
      seq,
      ...(generationId === undefined ? {} : { generation: generationId }),
      ops,
      diverging: 'refused',
    });
    switch (answer.ignored) {
      case undefined:
      case 'nothing_new':
        break;
      case 'run_unknown':
        throw new Fault('checkpoint_refused', { runId }, { message: 'run not found in state store' });
      case 'state_too_large':
        throw new Fault('checkpoint_too_large', { runId });
      default:
        throw new Fault('checkpoint_stale', { runId, reason: answer.ignored });
    }
    // The steps are stored, but they ended the run: the app has to stop.
    if (answer.transitions.some(({ type }) => type === 'RunFailed'))
      throw new Fault('checkpoint_stale', { runId, reason: 'run_ended' });
  }
}

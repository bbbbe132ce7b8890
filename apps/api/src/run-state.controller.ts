import { Body, Controller, Get, Header, HttpCode, Param, Post, UseGuards } from '@nestjs/common';
import { Fault } from '#core/faults.js';
import { canonical, utf8Bytes } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import { readJson } from '#platform/http.js';
import { Clock } from '#ports/clock.port.js';
import { Letterbox } from '#ports/letterbox.port.js';
import { BearerGuard } from './bearer.guard.js';
import { RunsService } from './runs/runs.service.js';

/** What an SDK reads of a run whose state was left out of a call: execution.md section 9. */
@Controller('v0/runs/:runId')
@UseGuards(BearerGuard)
export class RunStateController {
  constructor(private readonly runs: RunsService) {}

  /** The memos by step id, as `steps` of a call. */
  @Get('actions')
  @Header('content-type', 'application/json')
  async actions(@Param('runId') runId: string): Promise<string> {
    const run = await this.runs.working(runId);
    return `{${run.stack.map((id) => `${JSON.stringify(id)}:${run.steps[id]?.memo ?? 'null'}`).join(',')}}`;
  }

  /** All triggering events. */
  @Get('batch')
  @Header('content-type', 'application/json')
  async batch(@Param('runId') runId: string): Promise<string> {
    const run = await this.runs.working(runId);
    return `[${run.events.join(',')}]`;
  }
}

/** Metadata that SDKs attach to runs and steps, also on their own account. Kept with the run's transitions. */
@Controller('v1/runs/:runId/metadata')
@UseGuards(BearerGuard)
export class RunMetadataController {
  constructor(
    private readonly runs: RunsService,
    private readonly letterbox: Letterbox,
    private readonly clock: Clock,
  ) {}

  @Post()
  @HttpCode(200)
  async add(@Param('runId') runId: string, @Body() body: unknown): Promise<void> {
    const given = await readJson(body, LIMITS.metadataPerRunBytesMax);
    const items = (given as { readonly metadata?: unknown } | null | undefined)?.metadata;
    if (!Array.isArray(items)) throw new Fault('request_invalid', {}, { message: 'metadata must be a list' });
    if (items.some((item) => utf8Bytes(canonical(item)) > LIMITS.metadataItemBytesMax)) {
      throw new Fault(
        'request_invalid',
        {},
        { message: `A metadata item takes ${LIMITS.metadataItemBytesMax} bytes at most` },
      );
    }
    const { env } = await this.runs.working(runId);
    const answer = await this.letterbox.ask(runId, {
      type: 'AddMetadata',
      runId,
      env,
      at: this.clock.now(),
      body: canonical(given),
    });
    if (answer.ignored === 'metadata_too_large') {
      throw new Fault(
        'request_invalid',
        {},
        { message: `The metadata of a run take ${LIMITS.metadataPerRunBytesMax} bytes at most` },
      );
    }
  }
}

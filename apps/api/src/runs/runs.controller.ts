import { Controller, Delete, Get, HttpCode, Param, Query, UseGuards } from '@nestjs/common';
import { Fault } from '#core/faults.js';
import { Access } from '#ports/access.port.js';
import { Catalog } from '#ports/catalog.port.js';
import { Clock } from '#ports/clock.port.js';
import type { RunFilter, RunStatus } from '#ports/history.port.js';
import { BearerGuard } from '../bearer.guard.js';
import { envelope } from '../envelope.js';
import { cursorOf, instantOf, limitOf } from '../query.js';
import { RunsService } from './runs.service.js';

const STATUSES: readonly RunStatus[] = ['Scheduled', 'Running', 'Completed', 'Failed', 'Cancelled', 'Skipped'];

/** REST v1, runs. */
@Controller('v1')
@UseGuards(BearerGuard)
export class RunsController {
  constructor(
    private readonly runs: RunsService,
    private readonly catalog: Catalog,
    private readonly access: Access,
    private readonly clock: Clock,
  ) {}

  @Get('runs')
  async list(@Query() query: Record<string, string>) {
    return envelope(await this.runs.list(this.filter(query)), this.clock.now());
  }

  @Get('runs/:runId')
  async one(@Param('runId') runId: string) {
    return envelope(await this.runs.one(runId), this.clock.now());
  }

  @Get('runs/:runId/transitions')
  async transitions(@Param('runId') runId: string) {
    return envelope(await this.runs.transitions(runId), this.clock.now());
  }

  /** Calls that are waiting to be made or under way. */
  @Get('runs/:runId/jobs')
  async jobs(@Param('runId') runId: string) {
    return envelope(await this.runs.jobs(runId), this.clock.now());
  }

  @Delete('runs/:runId')
  @HttpCode(200)
  async cancel(@Param('runId') runId: string): Promise<void> {
    await this.runs.cancel(runId);
  }

  private filter(query: Record<string, string>): RunFilter {
    const statuses = list(query['status']).map((text) => {
      const status = STATUSES.find(
        (other) =>
          other.toLowerCase() === text.toLowerCase() || (text.toLowerCase() === 'queued' && other === 'Scheduled'),
      );
      if (!status)
        throw new Fault(
          'request_invalid',
          { status: text.slice(0, 32) },
          { message: `status must be one of ${STATUSES.join(', ')}` },
        );
      return status;
    });
    const functions = list(query['function']).map(
      (ref) => this.catalog.resolve(this.access.env, ref)?.config.slug ?? ref,
    );
    const from = instantOf('from', query['from']);
    const until = instantOf('until', query['until']);
    return {
      limit: limitOf(query['limit'], 20, 100),
      ...(statuses.length === 0 ? {} : { statuses }),
      ...(functions.length === 0 ? {} : { functionSlugs: functions }),
      ...(query['app'] === undefined ? {} : { appName: query['app'] }),
      ...(query['event'] === undefined ? {} : { eventName: query['event'] }),
      ...cursorOf(query['cursor']),
      ...(from === undefined ? {} : { from }),
      ...(until === undefined ? {} : { until }),
    };
  }
}

function list(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(',').filter((part) => part !== '');
}

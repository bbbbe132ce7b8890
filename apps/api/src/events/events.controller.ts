import { Controller, Get, Param, Query, UseGuards } from '@nestjs/common';
import { Fault } from '#core/faults.js';
import { DEFAULT_ACCOUNT } from '#core/words.js';
import { Access } from '#ports/access.port.js';
import { Catalog } from '#ports/catalog.port.js';
import { Clock } from '#ports/clock.port.js';
import { HistoryGate } from '#ports/history-gate.port.js';
import { History, type EventFilter, type EventRow } from '#ports/history.port.js';
import { BearerGuard } from '../bearer.guard.js';
import { envelope } from '../envelope.js';
import { cursorOf, instantOf, limitOf } from '../query.js';
import { RunsService } from '../runs/runs.service.js';
import { viewOfDecision } from './decision.view.js';

/** REST v1, events. */
@Controller('v1/events')
@UseGuards(BearerGuard)
export class EventsController {
  constructor(
    private readonly history: History,
    private readonly gate: HistoryGate,
    private readonly runs: RunsService,
    private readonly catalog: Catalog,
    private readonly access: Access,
    private readonly clock: Clock,
  ) {}

  /** Newest first; internal events only with `internal=true` or by their name. */
  @Get()
  async list(@Query() query: Record<string, string>) {
    const after = instantOf('received_after', query['received_after']);
    const before = instantOf('received_before', query['received_before']);
    const name = query['name'];
    const filter: EventFilter = {
      limit: limitOf(query['limit'], 20, 100),
      internal: query['internal'] === 'true' || name?.startsWith('inngest/') === true,
      ...(name === undefined ? {} : { name }),
      ...cursorOf(query['cursor']),
      ...(after === undefined ? {} : { receivedAfter: after }),
      ...(before === undefined ? {} : { receivedBefore: before }),
    };
    await this.gate.caughtUp();
    const rows = await this.history.events(this.access.env, filter);
    return envelope(rows.map(view), this.clock.now());
  }

  @Get(':internalId')
  async one(@Param('internalId') internalId: string) {
    return envelope(view(await this.load(internalId)), this.clock.now());
  }

  /** The runs it is among the triggers of; where there are none, its decisions say why. */
  @Get(':internalId/runs')
  async ofEvent(@Param('internalId') internalId: string) {
    await this.load(internalId);
    return envelope(await this.runs.ofEvent(internalId), this.clock.now());
  }

  /** What was decided about it and a function before there was a run, oldest first; nothing where it simply became one, or matched nothing. */
  @Get(':internalId/decisions')
  async decisions(@Param('internalId') internalId: string) {
    await this.load(internalId);
    const rows = await this.history.decisionsOfEvent(this.access.env, internalId);
    const views = rows.map((row) => viewOfDecision(row, this.catalog.function(row.functionId)?.config.slug));
    return envelope(views, this.clock.now());
  }

  private async load(internalId: string): Promise<EventRow> {
    await this.gate.caughtUp();
    const row = await this.history.event(this.access.env, internalId);
    if (!row) throw new Fault('event_unknown', { internalId: internalId.slice(0, 64) });
    return row;
  }
}

function view(row: EventRow) {
  const event = JSON.parse(row.payload) as { data?: unknown; user?: unknown; v?: string; meta?: unknown };
  return {
    internal_id: row.internalId,
    account_id: DEFAULT_ACCOUNT,
    environment_id: row.env,
    source: row.source,
    source_id: null,
    received_at: new Date(row.receivedAt).toISOString(),
    id: row.id,
    name: row.name,
    data: event.data,
    user: event.user,
    ts: row.ts,
    v: event.v ?? null,
    ...(event.meta === undefined ? {} : { meta: event.meta }),
  };
}

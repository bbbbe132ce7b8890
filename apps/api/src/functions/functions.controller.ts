import { Body, Controller, Get, HttpCode, Param, Post, Query, UseGuards } from '@nestjs/common';
import { Fault } from '#core/faults.js';
import type { FunctionVersion } from '#core/function/function.config.js';
import { readJson } from '#platform/http.js';
import { Access } from '#ports/access.port.js';
import { Catalog } from '#ports/catalog.port.js';
import { Clock } from '#ports/clock.port.js';
import { ControlPlane } from '#ports/control-plane.port.js';
import { WorkQueue } from '#ports/work-queue.port.js';
import { BearerGuard } from '../bearer.guard.js';
import { envelope } from '../envelope.js';
import { limitOf } from '../query.js';
import { ConfigRelay } from '../sync/config-relay.js';
import { viewOfFunction } from './function.view.js';
import { readPause } from './pause.read.js';
import { viewOfBacklog } from './queue.view.js';

const BODY_BYTES_MAX = 64 * 1024;

/** REST v1, functions. `ref` is a slug or an id; archived functions are not there. */
@Controller('v1/functions')
@UseGuards(BearerGuard)
export class FunctionsController {
  constructor(
    private readonly catalog: Catalog,
    private readonly controlPlane: ControlPlane,
    private readonly relay: ConfigRelay,
    private readonly queue: WorkQueue,
    private readonly access: Access,
    private readonly clock: Clock,
  ) {}

  /** By app and slug. */
  @Get()
  list() {
    const order = (fn: FunctionVersion) => `${fn.appName}\n${fn.config.slug}`;
    const functions = [...this.catalog.functions(this.access.env)].sort((a, b) => (order(a) < order(b) ? -1 : 1));
    return envelope(functions.map(viewOfFunction), this.clock.now());
  }

  @Get(':ref')
  one(@Param('ref') ref: string) {
    return envelope(viewOfFunction(this.resolve(ref)), this.clock.now());
  }

  /** What waits and what is under way; `limit` lines at most. */
  @Get(':ref/queue')
  async backlog(@Param('ref') ref: string, @Query() query: Record<string, string>) {
    const backlog = await this.queue.backlog(this.resolve(ref).id, limitOf(query['limit'], 20, 100));
    return envelope(viewOfBacklog(backlog), this.clock.now());
  }

  /** `{"running":"hold"}` lets the runs under way wait, `{"running":"cancel"}` ends them. Answers once it is in force. */
  @Post(':ref/pause')
  @HttpCode(200)
  async pause(@Param('ref') ref: string, @Body() body: unknown) {
    const { env, id } = this.resolve(ref);
    const running = readPause(body ? await readJson(body, BODY_BYTES_MAX) : undefined);
    return this.inForce(await this.controlPlane.pauseFunction(env, id, running));
  }

  @Post(':ref/resume')
  @HttpCode(200)
  async resume(@Param('ref') ref: string) {
    const { env, id } = this.resolve(ref);
    return this.inForce(await this.controlPlane.resumeFunction(env, id));
  }

  private async inForce(fn: FunctionVersion) {
    await this.relay.flush();
    return envelope(viewOfFunction(fn), this.clock.now());
  }

  private resolve(ref: string): FunctionVersion {
    const fn = this.catalog.resolve(this.access.env, ref);
    if (!fn) throw new Fault('function_unknown', { ref: ref.slice(0, 64) });
    return fn;
  }
}

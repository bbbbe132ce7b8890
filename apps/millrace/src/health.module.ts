import { Controller, Get, Header, Module, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ProcessMetrics } from '#platform/metrics.js';
import { notReady, OK } from './health.answers.js';
import { Readiness } from './readiness.js';

/**
 * What operators and machines ask of every process, whatever its roles. None of it needs a key: it tells nothing of what users send.
 *     /health        200 {"status":200,"message":"OK"}    somebody answers
 *     /health/live   the same, also while the server starts: the process is not stuck
 *     /health/ready  the same, or 503 {"status":503,"message":"not ready","waiting_for":[{"name":"log","reason":"..."}]}
 *     /metrics       the text format of Prometheus
 */
@Controller()
class HealthController {
  constructor(
    private readonly readiness: Readiness,
    private readonly metrics: ProcessMetrics,
  ) {}

  @Get(['health', 'health/live'])
  live() {
    return OK;
  }

  @Get('health/ready')
  async ready(@Res({ passthrough: true }) reply: FastifyReply) {
    const lacking = await this.readiness.lacking();
    if (lacking.length === 0) return OK;
    void reply.status(503);
    return notReady(lacking);
  }

  @Get('metrics')
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  text(): Promise<string> {
    return this.metrics.text();
  }
}

@Module({ controllers: [HealthController] })
export class HealthModule {}

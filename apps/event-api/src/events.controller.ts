import { createHash } from 'node:crypto';
import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Options,
  Param,
  Patch,
  Post,
  Put,
  Req,
  Res,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '#core/faults.js';
import { LIMITS } from '#core/limits.js';
import { bytesOf, readJson } from '#platform/http.js';
import { Access } from '#ports/access.port.js';
import { bearerCheck } from '#protocol/bearer.js';
import { HEADER } from '#protocol/headers.js';
import { Ingest, type Sender } from './ingest.js';

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'POST, OPTIONS',
  'access-control-allow-headers': '*',
  'access-control-max-age': '86400',
};

/** Where events come in: contract section 3, events-api.md sections 1 and 2. */
@Controller()
export class EventsController {
  private readonly mayCall: ReturnType<typeof bearerCheck>;
  /** Hashed: how long a comparison takes says nothing of a key. */
  private readonly eventKeys: ReadonlySet<string>;

  constructor(
    private readonly ingest: Ingest,
    private readonly access: Access,
  ) {
    this.mayCall = bearerCheck(access.signingKeys);
    this.eventKeys = new Set(access.eventKeys.map(hashed));
  }

  @Options('e/:key')
  @HttpCode(204)
  preflight(@Res({ passthrough: true }) reply: FastifyReply): void {
    void reply.headers(CORS);
  }

  /** `{"ids":["<ulid>",...],"status":200}`, or `{"ids":[],"status":4xx,"error":"..."}`: all of a request, or nothing of it. */
  @Post('e/:key')
  @HttpCode(200)
  async events(
    @Param('key') key: string,
    @Body() body: unknown,
    @Headers() headers: Record<string, string>,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    void reply.headers(CORS);
    try {
      this.checkKey(key);
      refuseForms(headers[HEADER.contentType]);
      return { ids: await this.ingest.events(bytesOf(body), senderOf(headers)), status: 200 };
    } catch (error) {
      if (!(error instanceof Fault) || error.blame === 'us') throw error;
      if (error.status === 503) void reply.header('retry-after', '1');
      // The rest of a body that is refused early is not read.
      if (!request.raw.complete) void reply.header('connection', 'close');
      void reply.status(error.status);
      return { ids: [], status: error.status, error: error.message, code: error.code };
    }
  }

  // A handler has one method: of several decorators on it only one would count.
  @Get('e/:key')
  get(@Res({ passthrough: true }) reply: FastifyReply): void {
    wrongMethod(reply);
  }

  @Put('e/:key')
  put(@Res({ passthrough: true }) reply: FastifyReply): void {
    wrongMethod(reply);
  }

  @Patch('e/:key')
  patch(@Res({ passthrough: true }) reply: FastifyReply): void {
    wrongMethod(reply);
  }

  @Delete('e/:key')
  delete(@Res({ passthrough: true }) reply: FastifyReply): void {
    wrongMethod(reply);
  }

  /** One event: `{"data":{"eventId":"<ulid>"}}`. */
  @Post(['v2/events', 'api/v2/events'])
  @HttpCode(200)
  async event(@Body() body: unknown, @Headers() headers: Record<string, string>) {
    this.checkBearer(headers.authorization, true);
    const ids = await this.ingest.events(bytesOf(body), senderOf(headers), {
      nameCharsMax: LIMITS.eventNameCharsMaxV2,
      single: true,
    });
    return { data: { eventId: ids[0] } };
  }

  /** `{"id":"<event ulid>","status":200}`, also where no function has this slug. */
  @Post('invoke/:slug')
  @HttpCode(200)
  async invoke(@Param('slug') slug: string, @Body() body: unknown, @Headers() headers: Record<string, string>) {
    this.checkBearer(headers.authorization, false);
    const request = await readJson(body, LIMITS.eventBytesMax);
    return { id: await this.ingest.invoke(slug, request, senderOf(headers)), status: 200 };
  }

  private checkKey(key: string): void {
    if (this.access.kind === 'dev') return;
    if (this.eventKeys.size === 0) throw new Fault('event_keys_missing');
    if (!this.eventKeys.has(hashed(key))) throw new Fault('event_key_unknown');
  }

  private checkBearer(authorization: string | undefined, orEventKey: boolean): void {
    if (this.access.kind === 'dev' || this.mayCall(authorization) !== undefined) return;
    const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
    if (!orEventKey || token === undefined || !this.eventKeys.has(hashed(token))) throw new Fault('unauthorized');
  }
}

function hashed(key: string): string {
  return createHash('sha256').update(key).digest('base64');
}

function wrongMethod(reply: FastifyReply): never {
  void reply.header('allow', 'POST');
  throw new Fault('method_not_allowed');
}

/** A form's fields are lists of texts, so none can be an event. */
function refuseForms(contentType: string | undefined): void {
  if (/^(multipart\/form-data|application\/x-www-form-urlencoded)\b/i.test(contentType ?? '')) {
    throw new Fault(
      'event_body_invalid',
      {},
      { message: 'Events are JSON: the fields of a form cannot be an event (send application/json)' },
    );
  }
}

function senderOf(headers: Record<string, string>): Sender {
  return { seed: headers[HEADER.eventIdSeed], traceparent: headers[HEADER.traceparent] };
}

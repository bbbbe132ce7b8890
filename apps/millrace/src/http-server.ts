import 'reflect-metadata';
import { Module, type DynamicModule, type Provider, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply } from 'fastify';
import type { RequestListener } from 'node:http';
import { Fault } from '#core/faults.js';
import { answerOf, FaultFilter } from '#platform/http.js';
import type { Logger } from '#ports/logger.port.js';
import { HEADER } from '#protocol/headers.js';
import type { FrontDoor } from './front-door.js';

/** Provides the ports to every module. */
@Module({})
class PortsModule {
  static of(providers: readonly Provider[]): DynamicModule {
    return { module: PortsModule, global: true, providers: [...providers], exports: [...providers] };
  }
}

@Module({})
class RootModule {}

const PATH_PART_CHARS_MAX = 16_384;

export interface HttpServerOptions {
  readonly door: FrontDoor;
  readonly kind: 'dev' | 'cloud';
  readonly providers: readonly Provider[];
  readonly modules: readonly Type[];
  readonly logger: Logger;
}

/** Who answers at the front door: the rooms of the apps that a process hosts. */
export class HttpServer {
  private constructor(
    private readonly app: NestFastifyApplication,
    private readonly door: FrontDoor,
  ) {}

  static async open({ door, kind, providers, modules, logger }: HttpServerOptions): Promise<HttpServer> {
    let listener: RequestListener | undefined;
    const root: DynamicModule = { module: RootModule, imports: [PortsModule.of(providers), ...modules] };
    const adapter = new FastifyAdapter({
      bodyLimit: Number.MAX_SAFE_INTEGER,
      serverFactory: (handler: RequestListener) => {
        listener = handler;
        return door.server;
      },
      routerOptions: {
        // Keys, slugs and ids stand in paths: whether one is too long is for its room to say.
        maxParamLength: PATH_PART_CHARS_MAX,
        // A name that is given twice counts once, so what rooms read of a query is always a text.
        querystringParser: (text) => Object.fromEntries(new URLSearchParams(text)),
      },
      frameworkErrors: (error: Error, _request: unknown, reply: FastifyReply) => {
        const fault = new Fault(
          'request_invalid',
          {},
          { cause: error, message: 'The path is not that of a valid URL' },
        );
        void reply.header(HEADER.serverKind, kind).status(fault.status).send(answerOf(fault));
      },
    });
    const app = await NestFactory.create<NestFastifyApplication>(root, adapter, {
      logger: false,
      bodyParser: false,
      abortOnError: false,
    });
    const fastify = app.getHttpAdapter().getInstance();
    // Rooms read their own bodies, as bytes and with their own bounds; the content type is never trusted.
    fastify.removeAllContentTypeParsers();
    fastify.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    fastify.addHook('onRequest', (_request, reply, done) => {
      void reply.header(HEADER.serverKind, kind);
      done();
    });
    app.useGlobalFilters(new FaultFilter(logger));
    await app.init();
    await fastify.ready();
    if (listener) door.answerWith(listener);
    return new HttpServer(app, door);
  }

  /** Whoever is still answered, for as long as `drainMs`, hears that the connection ends with it. */
  async close(drainMs?: number): Promise<void> {
    await Promise.all([this.app.close(), this.door.close(drainMs)]);
  }
}

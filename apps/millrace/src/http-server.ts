import 'reflect-metadata';
import { Module, type DynamicModule, type Provider, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply } from 'fastify';
import type { AddressInfo } from 'node:net';
import { Fault } from '#core/faults.js';
import { answerOf, FaultFilter } from '#platform/http.js';
import type { Logger } from '#ports/logger.port.js';
import { HEADER } from '#protocol/headers.js';

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
  readonly host: string;
  readonly port: number;
  readonly kind: 'dev' | 'cloud';
  readonly providers: readonly Provider[];
  readonly modules: readonly Type[];
  readonly logger: Logger;
}

/** The one HTTP server of a process, with the doors of the apps that it hosts. */
export class HttpServer {
  private constructor(
    private readonly app: NestFastifyApplication,
    readonly port: number,
  ) {}

  static async open({ host, port, kind, providers, modules, logger }: HttpServerOptions): Promise<HttpServer> {
    const root: DynamicModule = { module: RootModule, imports: [PortsModule.of(providers), ...modules] };
    const adapter = new FastifyAdapter({
      bodyLimit: Number.MAX_SAFE_INTEGER,
      keepAliveTimeout: 75_000,
      forceCloseConnections: 'idle',
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
    await app.listen({ host, port });
    const address = app.getHttpServer().address() as AddressInfo;
    return new HttpServer(app, address.port);
  }

  async close(): Promise<void> {
    await this.app.close();
  }
}

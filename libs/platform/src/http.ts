import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { HttpException } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '#core/faults.js';
import type { Logger } from '#ports/logger.port.js';

/** Every error as JSON with a code: `{"error":"text","data":null,"status":400,"code":"..."}`. */
@Catch()
export class FaultFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    // Who hangs up within a body hears no answer, and is no failure.
    if ((error as NodeJS.ErrnoException)?.code === 'ECONNRESET' && request.raw.socket.destroyed) return;
    const fault = toFault(error);
    if (fault.blame === 'us')
      this.logger.error({ err: error, method: request.method, url: request.url.split('?')[0] }, 'request failed');
    if (reply.sent || reply.raw.headersSent) return;
    if (fault.status === 503) void reply.header('retry-after', '1');
    // What is left of an unread body must not be taken for the next request.
    if (!request.raw.complete) void reply.header('connection', 'close');
    void reply.status(fault.status).send(answerOf(fault));
  }
}

export function answerOf(fault: Fault): Record<string, unknown> {
  return { error: fault.message, data: null, status: fault.status, code: fault.code };
}

function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  if (error instanceof HttpException) {
    const status = error.getStatus();
    if (status === 404) return new Fault('route_unknown', {}, { cause: error });
    if (status === 405) return new Fault('method_not_allowed', {}, { cause: error });
    if (status < 500) return new Fault('request_invalid', {}, { cause: error, message: error.message });
  }
  return new Fault('internal', {}, { cause: error });
}

/** A request's body as it comes; nothing where there is none. */
export function bytesOf(body: unknown): AsyncIterable<Buffer> | Iterable<Buffer> {
  return (body ?? []) as AsyncIterable<Buffer> | Iterable<Buffer>;
}

/** Reads a request's body whole; empty where there is none. @throws body_too_large */
export async function readBody(body: unknown, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of bytesOf(body)) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Fault('body_too_large', { bytesMax });
    chunks.push(chunk);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

/** Reads a request's body as JSON; an empty one is undefined. @throws body_too_large, body_unreadable */
export async function readJson(body: unknown, bytesMax: number): Promise<unknown> {
  const bytes = await readBody(body, bytesMax);
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch (error) {
    throw new Fault('body_unreadable', {}, { cause: error });
  }
}

import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Fault } from '#core/faults.js';
import { Access } from '#ports/access.port.js';
import { bearerCheck } from '#protocol/bearer.js';

/** With keys, every route of the API asks for a signing key as bearer, in any of the SDKs' forms. In dev the header is ignored. */
@Injectable()
export class BearerGuard implements CanActivate {
  private readonly check: ReturnType<typeof bearerCheck>;

  constructor(private readonly access: Access) {
    this.check = bearerCheck(access.signingKeys);
  }

  canActivate(context: ExecutionContext): boolean {
    if (this.access.kind === 'dev') return true;
    const { authorization } = context.switchToHttp().getRequest<FastifyRequest>().headers;
    if (this.check(authorization) === undefined) throw new Fault('unauthorized');
    return true;
  }
}

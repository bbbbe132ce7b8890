import { Body, Controller, Headers, HttpCode, Post, UseGuards } from '@nestjs/common';
import { Fault } from '#core/faults.js';
import { readJson } from '#platform/http.js';
import { Access } from '#ports/access.port.js';
import { HEADER } from '#protocol/headers.js';
import { BearerGuard } from '../bearer.guard.js';
import { AppSync } from './app-sync.js';

const BODY_BYTES_MAX = 16 * 1024 * 1024;

/** `POST /fn/register`: an SDK registers its app. http.md section 6. */
@Controller('fn/register')
@UseGuards(BearerGuard)
export class RegisterController {
  constructor(
    private readonly sync: AppSync,
    private readonly access: Access,
  ) {}

  @Post()
  @HttpCode(200)
  async register(@Body() body: unknown, @Headers() headers: Record<string, string>) {
    const expected = headers[HEADER.expectedServerKind];
    const { kind } = this.access;
    if (expected !== undefined && expected !== '' && expected !== kind) {
      throw new Fault(
        'server_kind_mismatch',
        { expected: expected.slice(0, 16) },
        { message: `Expected server kind ${expected.slice(0, 16)}, got ${kind}` },
      );
    }
    const { modified, syncId, app } = await this.sync.register(await readJson(body, BODY_BYTES_MAX));
    return { ok: true, modified, sync_id: syncId, app_id: app.id };
  }
}

import { Controller, Get } from '@nestjs/common';
import { Access } from '#ports/access.port.js';
import { Catalog } from '#ports/catalog.port.js';
import { ServerInfo } from './server-info.js';

/** What SDKs and operators ask of a server itself. */
@Controller()
export class ServerController {
  constructor(
    private readonly access: Access,
    private readonly catalog: Catalog,
    private readonly info: ServerInfo,
  ) {}

  /** TypeScript SDKs in inferred dev mode ask here whether a dev server is there; people find what is synced. */
  @Get('dev')
  dev() {
    const { env, kind } = this.access;
    return {
      version: this.info.version,
      kind,
      isSingleNodeService: true,
      authed: kind !== 'dev',
      startOpts: { autodiscover: this.info.discovery, poll: this.info.poll, urls: this.info.appUrls },
      handlers: this.catalog
        .apps(env)
        .map(({ name, url, sdk, framework, error }) => ({ name, url, sdk, framework, error: error ?? null })),
      functions: this.catalog.functions(env).map((fn) => ({
        id: fn.id,
        fv: fn.version,
        slug: fn.config.slug,
        name: fn.config.name,
        triggers: fn.config.triggers,
        steps: [{ id: 'step', name: 'step', uri: fn.config.url }],
      })),
    };
  }
}

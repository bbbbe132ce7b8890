import 'reflect-metadata';
import { RequestMethod, type Type } from '@nestjs/common';
import { ApiModule } from '#apps/api/src/api.module.js';
import { EventApiModule } from '#apps/event-api/src/event-api.module.js';

/** A path that a role answers, with something in place of its parameters. */
export interface Route {
  readonly role: 'event-api' | 'api';
  readonly method: string;
  readonly path: string;
}

/** All paths of the roles that have a Service, by what their controllers declare. */
export const routes: readonly Route[] = [...routesOf('event-api', EventApiModule), ...routesOf('api', ApiModule)];

function routesOf(role: Route['role'], module: Type): readonly Route[] {
  const controllers = Reflect.getMetadata('controllers', module) as readonly Type[];
  return controllers.flatMap((controller) => {
    const prefixes = paths(Reflect.getMetadata('path', controller));
    const { prototype } = controller as { readonly prototype: Readonly<Record<string, object>> };
    return Object.getOwnPropertyNames(prototype).flatMap((name) => {
      const handler = prototype[name];
      if (handler === undefined || !Reflect.hasMetadata('method', handler)) return [];
      const method = RequestMethod[Reflect.getMetadata('method', handler) as number] ?? '';
      return prefixes.flatMap((prefix) =>
        paths(Reflect.getMetadata('path', handler)).map((path) => ({ role, method, path: join(prefix, path) })),
      );
    });
  });
}

function paths(declared: unknown): readonly string[] {
  return [declared as string | readonly string[]].flat();
}

function join(...parts: readonly string[]): string {
  const names = parts.flatMap((part) => part.split('/')).filter((name) => name !== '');
  return `/${names.map((name) => (name.startsWith(':') ? 'some-value' : name)).join('/')}`;
}

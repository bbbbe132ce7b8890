import { hostname } from 'node:os';
import type { Attributes } from '@opentelemetry/api';
import type { TracerProviderOptions } from '@opentelemetry/sdk-trace';

type Resource = NonNullable<TracerProviderOptions['resource']>;

/**
 * Who makes the spans. The standard variables go before what we say of ourselves: OTEL_SERVICE_NAME, and OTEL_RESOURCE_ATTRIBUTES as in
 * `deployment.environment.name=prod,team=a%20b`.
 */
export function resourceOf(env: Readonly<Record<string, string | undefined>>): Resource {
  const pairs = (env['OTEL_RESOURCE_ATTRIBUTES'] ?? '').split(',').map((pair) => pair.split('='));
  const given = pairs.flatMap(([key = '', value]) =>
    value === undefined ? [] : [[key.trim(), decoded(value.trim())]],
  );
  return resource({
    'service.name': 'millrace',
    'host.name': hostname(),
    'process.pid': process.pid,
    ...(Object.fromEntries(given) as Attributes),
    ...(env['OTEL_SERVICE_NAME'] && { 'service.name': env['OTEL_SERVICE_NAME'] }),
  });
}

function resource(attributes: Attributes): Resource {
  return {
    attributes,
    merge: (other) => resource({ ...attributes, ...other?.attributes }),
    getRawAttributes: () => Object.entries(attributes),
  };
}

/** What cannot be decoded is taken as it is. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

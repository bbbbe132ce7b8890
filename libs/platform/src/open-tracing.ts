import type { Logger } from '#ports/logger.port.js';
import { TracingOff, type Tracing } from '#ports/tracing.port.js';
import type { ServerSettings } from './settings.js';

/** Spans go where the settings say; the library is loaded only then. */
export async function openTracing(
  { otlpEndpoint }: Pick<ServerSettings, 'otlpEndpoint'>,
  logger: Logger,
): Promise<Tracing> {
  if (otlpEndpoint === undefined) return new TracingOff();
  const { OtelTracing } = await import('./otel-tracing.js');
  return OtelTracing.open(otlpEndpoint, process.env, logger);
}

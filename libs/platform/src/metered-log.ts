import type { EventLog, Topic } from '#ports/event-log.port.js';
import type { Metrics } from '#ports/metrics.port.js';

/**
 * Measures what is appended to a log. In place, so that what the log itself files under `dead-letters` counts as well.
 * @returns the same log
 */
export function metered<L extends EventLog>(log: L, metrics: Metrics): L {
  const append = log.append.bind(log);
  log.append = async (records, then) => {
    const from = performance.now();
    const written = new Map<Topic, number>();
    for (const { topic } of records) written.set(topic, (written.get(topic) ?? 0) + 1);
    for (const { topic } of then ?? []) written.set(topic, (written.get(topic) ?? 0) + 1);
    try {
      const positions = await append(records, then);
      const seconds = (performance.now() - from) / 1_000;
      for (const [topic, count] of written) {
        metrics.observe('millrace_append_seconds', { topic }, seconds);
        metrics.count('millrace_append_records_total', { topic }, count);
      }
      const letters = written.get('dead-letters');
      if (letters !== undefined) metrics.count('millrace_dead_letters_total', {}, letters);
      return positions;
    } catch (error) {
      metrics.count('millrace_append_failures_total', {});
      throw error;
    }
  };
  return log;
}

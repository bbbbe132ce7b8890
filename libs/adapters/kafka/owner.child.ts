import { KafkaOwnership } from './kafka-ownership.js';

/**
 * Owns partitions until it is killed, and prints `take <partition>` and `give <partition>`.
 *     argv: brokers, comma-separated; the topics' prefix
 */
const [brokers = '', prefix = ''] = process.argv.slice(2);
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const ownership = new KafkaOwnership({
  brokers: brokers.split(','),
  clientId: 'child',
  prefix,
  heartbeatMs: 100,
  logger: quiet,
});
const say = (line: string): Promise<void> => {
  process.stdout.write(`${line}\n`);
  return Promise.resolve();
};
await ownership.open({ take: (partition) => say(`take ${partition}`), give: (partition) => say(`give ${partition}`) });

import type { History } from '#ports/history.port.js';
import { ClickHouseHistory } from '../clickhouse/clickhouse-history.js';
import { ChdbTransport } from './chdb-transport.js';
import type { ChdbOptions } from './chdb-transport.js';

/**
 * History without another service: ClickHouse's engine in a process beside this one. Costs nothing until the first append or query.
 * One server at a time may use a folder.
 */
export function openChdbHistory(options: ChdbOptions): History {
  return new ClickHouseHistory(new ChdbTransport(options));
}

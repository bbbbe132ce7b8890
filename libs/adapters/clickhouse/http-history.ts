import type { History } from '#ports/history.port.js';
import { ClickHouseHistory } from './clickhouse-history.js';
import { HttpTransport } from './http-transport.js';
import type { HttpTransportOptions } from './http-transport.js';

/** History on a ClickHouse server, which many processes may share. Connects with the first append or query. */
export function openClickHouseHistory(options: HttpTransportOptions): History {
  return new ClickHouseHistory(new HttpTransport(options));
}

import { randomFillSync, randomUUID } from 'node:crypto';
import { monotonicFactory } from 'ulid';
import { Ids } from '#ports/ids.port.js';

/** Random bytes are fetched so many at a time: each fetch costs more than the use of them all, and a ULID wants 16. */
const POOL_BYTES = 8_192;

export class SystemIds extends Ids {
  private readonly pool = Buffer.alloc(POOL_BYTES);
  private used = POOL_BYTES;
  private readonly next = monotonicFactory(() => this.fraction());

  override ulid(): string {
    return this.next();
  }

  override uuid(): string {
    return randomUUID();
  }

  override dice(): number {
    return Math.random();
  }

  /** In [0, 1), one of 256 values: the 32 digits of a ULID come out of it equally often. */
  private fraction(): number {
    if (this.used === POOL_BYTES) {
      randomFillSync(this.pool);
      this.used = 0;
    }
    return this.pool.readUInt8(this.used++) / 256;
  }
}

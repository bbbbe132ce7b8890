import { randomUUID } from 'node:crypto';
import { monotonicFactory } from 'ulid';
import { Ids } from '#ports/ids.port.js';

export class SystemIds extends Ids {
  private readonly next = monotonicFactory();

  override ulid(): string {
    return this.next();
  }

  override uuid(): string {
    return randomUUID();
  }

  override dice(): number {
    return Math.random();
  }
}

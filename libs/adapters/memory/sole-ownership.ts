import { Ownership, type Owner } from '#ports/ownership.port.js';

/** Of a process that has all partitions for itself. */
export class SoleOwnership extends Ownership {
  private owner: Owner | undefined;

  constructor(private readonly partitions: number) {
    super();
  }

  /** Resolves once all are taken. @throws what a `take` throws */
  override async open(owner: Owner): Promise<void> {
    this.owner = owner;
    for (let partition = 0; partition < this.partitions; partition++) await owner.take(partition);
  }

  override async close(): Promise<void> {
    const { owner } = this;
    this.owner = undefined;
    for (let partition = 0; owner && partition < this.partitions; partition++) await owner.give(partition);
  }
}

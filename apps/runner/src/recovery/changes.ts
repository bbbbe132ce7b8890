/** An aggregate that has changed. */
export interface Changed {
  readonly space: string;
  readonly id: string;
  /** No snapshot can hold it: it has come to be since the last. */
  readonly isNew: boolean;
  readonly isOver: boolean;
}

type ByKey = ReadonlyMap<string, Changed>;

/**
 * Which aggregates have changed since the last snapshot, as far as a checkpoint reflects it: what has changed since then goes with a later
 * one. Those that came and went in between are not among them: a short run never costs one.
 */
export class Changes {
  private fresh = new Map<string, Changed>();
  private reflected: ByKey = new Map();

  note(space: string, id: string, { isNew, isOver }: { readonly isNew: boolean; readonly isOver: boolean }): void {
    follow(this.fresh, { space, id, isNew, isOver });
  }

  /** What has changed until now is reflected once the checkpoint is written; not when that fails. */
  async with(checkpoint: () => Promise<void>): Promise<void> {
    const going = this.fresh;
    this.fresh = new Map();
    try {
      await checkpoint();
    } catch (error) {
      this.fresh = joined(going, this.fresh);
      throw error;
    }
    this.reflected = joined(this.reflected, going);
  }

  /** @returns all that a checkpoint reflects; from now on those count that are reflected after this */
  take(): readonly Changed[] {
    const all = [...this.reflected.values()];
    this.reflected = new Map();
    return all;
  }

  /** What was taken has not become a snapshot. */
  giveBack(taken: readonly Changed[]): void {
    this.reflected = joined(new Map(taken.map((one) => [keyOf(one), one])), this.reflected);
  }
}

function joined(before: ByKey, after: ByKey): Map<string, Changed> {
  const all = new Map(before);
  for (const changed of after.values()) follow(all, changed);
  return all;
}

/** Adds what has changed later than all that is there. */
function follow(all: Map<string, Changed>, changed: Changed): void {
  const key = keyOf(changed);
  const isNew = all.get(key)?.isNew ?? changed.isNew;
  if (isNew && changed.isOver) all.delete(key);
  else all.set(key, { ...changed, isNew });
}

function keyOf({ space, id }: Changed): string {
  return `${space}/${id}`;
}

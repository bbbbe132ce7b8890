/** An aggregate that has changed. */
export interface Changed {
  readonly space: string;
  readonly id: string;
  /** No snapshot can hold it: it has come to be since the last. */
  readonly isNew: boolean;
}

/** Which aggregates have changed since the last snapshot. Those that came and went in between are not among them: a short run never costs one. */
export class Changes {
  private changed = new Map<string, Changed>();

  note(space: string, id: string, { isNew, isOver }: { readonly isNew: boolean; readonly isOver: boolean }): void {
    const key = `${space}/${id}`;
    const known = this.changed.get(key);
    const born = known?.isNew ?? isNew;
    if (born && isOver) this.changed.delete(key);
    else if (!known) this.changed.set(key, { space, id, isNew: born });
  }

  get size(): number {
    return this.changed.size;
  }

  /** @returns all there are; from now on those count that change after this */
  take(): readonly Changed[] {
    const all = [...this.changed.values()];
    this.changed = new Map();
    return all;
  }

  /** What was taken has not become a snapshot. */
  giveBack(taken: readonly Changed[]): void {
    for (const { space, id, isNew } of taken) this.note(space, id, { isNew, isOver: false });
  }
}

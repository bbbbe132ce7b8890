/** What comes of owning a partition. */
export interface Owner {
  /** The partition is this process's now. Another that had it may not know of that yet. A rejection is tried again. */
  take(partition: number): Promise<void>;
  /** It is this process's no more, or soon: what is under way is ended in order, as far as that is possible. */
  give(partition: number): Promise<void>;
}

/**
 * Which partitions of `events` and `commands` a process serves: one of each number belongs to one process, where it is told in time. For a
 * moment a partition may have two owners; both come to the same decisions.
 */
export abstract class Ownership {
  /** Resolves once this process stands among those that share the partitions out; `take` may be called before and after. */
  abstract open(owner: Owner): Promise<void>;
  /** Gives everything and leaves; resolves when all is given. */
  abstract close(): Promise<void>;
}

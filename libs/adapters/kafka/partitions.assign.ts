/** A member of the group, and what it has. */
export interface GroupMember {
  readonly id: string;
  /** Partitions that it holds, as far as it knows. */
  readonly owned: readonly number[];
  /** When it got them: of two that hold the same, the later is right. */
  readonly generation: number;
}

/**
 * Shares partitions out evenly: no member has two more than another. What a member holds it keeps, as far as that is even. The same members,
 * the same answer.
 */
export function assign(members: readonly GroupMember[], partitions: number): ReadonlyMap<string, readonly number[]> {
  if (members.length === 0) return new Map();
  const least = Math.floor(partitions / members.length);
  let larger = partitions % members.length;
  const sorted = members.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const owners = new Map<number, GroupMember>();
  for (const member of sorted) {
    for (const partition of member.owned) {
      if (!Number.isInteger(partition) || partition < 0 || partition >= partitions) continue;
      const other = owners.get(partition);
      if (!other || other.generation < member.generation) owners.set(partition, member);
    }
  }
  const shares = new Map<string, number[]>(sorted.map(({ id }) => [id, []]));
  const free: number[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const share = shares.get(owners.get(partition)?.id ?? '');
    if (!share) {
      free.push(partition);
    } else if (share.length < least) {
      share.push(partition);
    } else if (share.length === least && larger > 0) {
      larger--;
      share.push(partition);
    } else {
      free.push(partition);
    }
  }
  for (const share of shares.values())
    while (share.length < least && free.length > 0) share.push(free.shift() as number);
  for (const share of shares.values())
    if (share.length === least && free.length > 0) share.push(free.shift() as number);
  return shares;
}

/** Where commands come from, and which have been here: so that what is posted again is known without remembering all that ever was. */

/** The record that made a command. Of one source commands come in order, so an older one has been here already. */
export interface Source {
  readonly topic: 'events' | 'commands';
  readonly partition: number;
  readonly offset: number;
}

/** By source (`e0`, `c3`: topic and partition) the furthest offset of which something has been taken, and for whom. */
export type Origins = Readonly<Record<string, Origin>>;

interface Origin {
  readonly offset: number;
  /** Ids of the aggregates that this one record was for: one may be for several. */
  readonly ids: readonly string[];
}

export function sourceName({ topic, partition }: Omit<Source, 'offset'>): string {
  return `${topic === 'events' ? 'e' : 'c'}${partition}`;
}

/** Whether what the source made for an aggregate has been here: it is posted again, after a crash or by an owner that was one. */
export function hasBeenHere(origins: Origins, source: Source, id: string): boolean {
  const known = origins[sourceName(source)];
  if (!known || source.offset > known.offset) return false;
  return source.offset < known.offset || known.ids.includes(id);
}

/** What comes again, to an aggregate that knows it by itself, does not take back what came behind it. */
export function noteOrigin(origins: Origins, source: Source, id: string): Origins {
  const name = sourceName(source);
  const known = origins[name];
  if (known && source.offset < known.offset) return origins;
  const ids = known?.offset === source.offset ? [...known.ids, id] : [id];
  return { ...origins, [name]: { offset: source.offset, ids } };
}

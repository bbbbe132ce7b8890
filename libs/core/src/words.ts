/** The words that every room uses. */

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number;

/** A JSON text in canonical form (RFC 8785): sorted keys, no white space. Made once at the door, passed on unparsed. */
export type Json = string;

/** The environment that a record, key or row belongs to. */
export type Env = string;

/** The environment there is when nobody made another. */
export const DEFAULT_ENV: Env = '00000000-0000-4000-b000-000000000000';
export const DEFAULT_ACCOUNT = '00000000-0000-4000-a000-000000000000';

/** A place in a topic. Offsets rise within a partition and are never used twice. */
export interface Position {
  readonly partition: number;
  readonly offset: number;
}

/** Something together with the place at which it stands in the log. */
export type Placed<T> = T & { readonly position: Position };

/** For the `default` of a switch that must name every case. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

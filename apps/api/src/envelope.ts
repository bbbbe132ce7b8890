/** What REST v1 and v2 answer with: `{"data":...,"metadata":{"fetched_at","cached_until"}}`. */
export interface Envelope<T> {
  readonly data: T;
  readonly metadata: { readonly fetched_at: string; readonly cached_until: string | null };
}

export function envelope<T>(data: T, now: number): Envelope<T> {
  return { data, metadata: { fetched_at: new Date(now).toISOString(), cached_until: null } };
}

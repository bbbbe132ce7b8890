/** How much goes into one request. */
export interface BatchBounds {
  readonly countMax: number;
  readonly charsMax: number;
}

const NOT_YET = Symbol('not yet');

/**
 * Puts together what is there: a batch is full, or it holds all that came without waiting. So a slow source is passed on at once,
 * and a fast one in large pieces.
 */
export async function* batchesOf<T>(
  items: AsyncIterable<T>,
  size: (item: T) => number,
  { countMax, charsMax }: BatchBounds,
): AsyncGenerator<readonly T[]> {
  const source = items[Symbol.asyncIterator]();
  let next = source.next();
  let batch: T[] = [];
  let chars = 0;
  for (;;) {
    const came = batch.length === 0 ? await next : await Promise.race([next, soon()]);
    if (came === NOT_YET) {
      yield batch;
      [batch, chars] = [[], 0];
      continue;
    }
    if (came.done) break;
    const item = came.value;
    if (batch.length > 0 && (batch.length >= countMax || chars + size(item) > charsMax)) {
      yield batch;
      [batch, chars] = [[], 0];
    }
    batch.push(item);
    chars += size(item);
    next = source.next();
    // Whoever takes the batches may be slow: an error must not go unheard meanwhile. It is thrown when its turn comes.
    next.catch(() => undefined);
  }
  if (batch.length > 0) yield batch;
}

/** After what has arrived by now has been handed on. */
function soon(): Promise<typeof NOT_YET> {
  return new Promise((resolve) => setImmediate(resolve, NOT_YET));
}

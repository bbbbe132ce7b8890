/** Ids and randomness. */
export abstract class Ids {
  /** A new ULID of this instant; rising within the process. */
  abstract ulid(): string;
  abstract uuid(): string;
  /** Uniform in [0, 1). */
  abstract dice(): number;
}

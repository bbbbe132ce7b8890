import type { Topic } from '#ports/event-log.port.js';
import { field, nodesOf, word, type Carried, type Fields, type Held, type Plain, type RecordNode } from './shape.js';

/** What records of one type are, in one version. */
export interface RecordType {
  readonly topic: Topic;
  /** The name of the type, as the record's header has it. */
  readonly type: string;
  /** Rises when a change would break a reader or a writer; see docs/topics.md. */
  readonly version: number;
  readonly body: RecordNode;
}

/** The member of a union that has a type of this name. */
export type Typed<U extends { readonly type: string }, K extends string> = U extends unknown
  ? K extends U['type']
    ? Plain<Omit<U, 'type'> & { type: K }>
    : never
  : never;

/** What fields describe, together with the type's name. */
export type TypedFields<F extends Fields, K extends string> = Carried<F> & { readonly type: K };

/** The fields with the type's name before them. */
export function named(type: string, fields: Fields): Fields {
  return { type: field(word(type), 'The record type once more.'), ...fields };
}

export function recordType(topic: Topic, type: string, doc: string, fields: Fields): RecordType {
  return { topic, type, version: 1, body: { name: type, doc, fields: nodesOf(fields) } };
}

/** Describes the records of a type, as long as the fields say what the declared type of the body says. */
export function recordTypeOf<D>() {
  return <const F extends Fields>(
    topic: Topic,
    type: string,
    doc: string,
    fields: F,
    ..._held: Held<Carried<F>, D>
  ): RecordType => recordType(topic, type, doc, fields);
}

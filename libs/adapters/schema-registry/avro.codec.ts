import { Fault } from '#core/faults.js';
import type { LogRecord, Topic } from '#ports/event-log.port.js';
import { avroNameOf } from '#schemas/avro.schema.js';
import type { RecordType } from '#schemas/record.type.js';
import { RECORD_TYPES, recordTypeNamed } from '#schemas/record.types.js';
import { upcast } from '#schemas/upcast.js';
import { jsonCodec } from '../kafka/json.codec.js';
import type { FoundRecord, RecordCodec, WireRecord } from '../kafka/record.codec.js';
import { headersOf, readHeaders } from '../kafka/record.headers.js';
import { AvroBody, foreignReader, nameOfSchema, WIRE_PREFIX_BYTES } from './avro.body.js';
import { RegistryClient } from './registry.client.js';

const REGISTERING_AT_ONCE = 8;

/** Reads what was written with a schema. */
interface Reader {
  /** Name of the record type that it is of. */
  readonly type: string;
  readonly read: (value: Buffer) => unknown;
}

interface Written {
  readonly type: RecordType;
  readonly body: AvroBody;
  readonly subject: string;
  /** In the registry, once it is known. */
  id?: number;
  asking?: Promise<number>;
}

/**
 * The body as Avro in Confluent wire format: a zero byte, the schema's id in four, the body. Subjects are named `<topic>-<record name>`.
 * A record whose type has no schema goes as JSON, and JSON is read as well: a topic may hold both. Where the registry is away, what is known of
 * it already goes on.
 */
export class AvroCodec implements RecordCodec {
  private readonly registry: RegistryClient;
  private readonly written: ReadonlyMap<RecordType, Written>;
  private readonly byAvroName: ReadonlyMap<string, AvroBody>;
  private readonly readers = new Map<number, Reader>();
  private readonly asked = new Map<number, Promise<Reader>>();

  /** @param topicName the name of a topic in the cluster, with its prefix */
  constructor(registryUrl: string, topicName: (topic: Topic) => string) {
    this.registry = new RegistryClient(registryUrl);
    this.written = new Map(
      RECORD_TYPES.map((type) => {
        const subject = `${topicName(type.topic)}-${avroNameOf(type)}`;
        return [type, { type, subject, body: new AvroBody(type) }];
      }),
    );
    this.byAvroName = new Map([...this.written.values()].map(({ type, body }) => [avroNameOf(type), body]));
  }

  /**
   * Makes all schemas known, at the start. What fails is tried again when it is needed.
   * @throws settings_invalid when the registry does not take one; log_unavailable when it does not answer
   */
  async register(): Promise<void> {
    const left = [...this.written.values()];
    const one = async (): Promise<void> => {
      for (let next = left.pop(); next; next = left.pop()) await this.idOf(next);
    };
    await Promise.all(Array.from({ length: REGISTERING_AT_ONCE }, one));
  }

  /** @throws TypeError, log_unavailable where the registry does not tell the schema's id */
  encode(record: LogRecord): WireRecord | Promise<WireRecord> {
    const type = recordTypeNamed(record.topic, record.type);
    const written = type?.version === record.schema ? this.written.get(type) : undefined;
    if (!written || record.body === undefined) return jsonCodec.encode(record);
    const { id } = written;
    return id === undefined ? this.encodeSoon(record, written) : encoded(record, written.body, id);
  }

  private async encodeSoon(record: LogRecord, written: Written): Promise<WireRecord> {
    try {
      return encoded(record, written.body, await this.idOf(written));
    } catch (cause) {
      if (!(cause instanceof Fault) || cause.code === 'log_unavailable') throw cause;
      throw new Fault('log_unavailable', cause.data, { cause, message: cause.message });
    }
  }

  /** @throws record_unreadable; log_unavailable where the registry does not tell the schema */
  decode(topic: Topic, found: FoundRecord): LogRecord | Promise<LogRecord> {
    const { value } = found;
    if (value === null || !isAvro(value)) return jsonCodec.decode(topic, found);
    const known = readHeaders(topic, found);
    const id = value.readUInt32BE(1);
    const reader = this.readers.get(id);
    if (reader) return decoded(known, value, reader);
    return this.readerOf(id).then((late) => decoded(known, value, late));
  }

  private idOf(written: Written): Promise<number> {
    if (written.id !== undefined) return Promise.resolve(written.id);
    written.asking ??= this.registry
      .register(written.subject, written.body.schema)
      .then((id) => {
        written.id = id;
        this.readers.set(id, { type: written.type.type, read: (value) => written.body.decode(value) });
        return id;
      })
      .finally(() => delete written.asking);
    return written.asking;
  }

  private readerOf(id: number): Promise<Reader> {
    const asked = this.asked.get(id) ?? this.askReader(id).finally(() => this.asked.delete(id));
    this.asked.set(id, asked);
    return asked;
  }

  private async askReader(id: number): Promise<Reader> {
    const schema = await this.registry.schema(id);
    if (schema === undefined) throw unreadable(`The schema registry knows no schema ${id}.`, { id });
    const reader = this.readerOfSchema(id, schema);
    this.readers.set(id, reader);
    return reader;
  }

  /** Another version's record of the same name is read as ours; of a name that is not known here, as it was written. */
  private readerOfSchema(id: number, schema: string): Reader {
    try {
      const name = nameOfSchema(schema);
      return {
        type: name.slice(name.lastIndexOf('.') + 1),
        read: (this.byAvroName.get(name)?.reader ?? foreignReader)(schema),
      };
    } catch (cause) {
      throw unreadable(`Schema ${id} cannot be read here: ${String(cause)}`, { id }, cause);
    }
  }
}

function isAvro(value: Buffer): boolean {
  return value.length >= WIRE_PREFIX_BYTES && value[0] === 0;
}

function encoded(record: LogRecord, body: AvroBody, id: number): WireRecord {
  const headers = headersOf(record, 'application/vnd.confluent.avro');
  return { key: Buffer.from(record.key), value: body.encode(record.body, id), headers };
}

/** @throws record_unreadable */
function decoded(known: Omit<LogRecord, 'body'>, value: Buffer, { type, read }: Reader): LogRecord {
  const { topic } = known;
  if (type !== known.type)
    throw unreadable(`The record is said to be a ${known.type}, and its schema is of a ${type}.`, { topic });
  let body: unknown;
  try {
    body = read(value);
  } catch (cause) {
    throw unreadable(`The value is not what its schema says: ${String(cause)}`, { topic }, cause);
  }
  return upcast({ ...known, body });
}

function unreadable(message: string, data: Readonly<Record<string, unknown>>, cause?: unknown): Fault {
  return new Fault('record_unreadable', data, { message, cause });
}

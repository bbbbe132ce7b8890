import { createServer, type Server } from 'node:http';
import { randomBytes } from 'node:crypto';
import { COMPATIBILITY, SchemaRegistry } from '@kafkajs/confluent-schema-registry';
import avro from 'avsc';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Fault } from '#core/faults.js';
import type { LogRecord } from '#ports/event-log.port.js';
import { avroSchemaOf, type AvroNamed } from '#schemas/avro.schema.js';
import { recordTypeNamed } from '#schemas/record.types.js';
import { goldenLogs, moreRecords } from '#testkit/record.samples.js';
import { services } from '#testkit/services/services.js';
import { jsonCodec } from '../kafka/json.codec.js';
import type { FoundRecord, WireRecord } from '../kafka/record.codec.js';
import { AvroCodec } from './avro.codec.js';

const records: readonly LogRecord[] = [...goldenLogs().flatMap((log) => log.records), ...moreRecords()];
const completed = records.find(({ type }) => type === 'RunCompleted') as LogRecord;

let prefix: string;
let codec: AvroCodec;

function codecOf(url = services().schemaRegistryUrl, own = prefix): AvroCodec {
  return new AvroCodec(url, (topic) => own + topic);
}

function aPrefix(): string {
  return `t${randomBytes(6).toString('hex')}.`;
}

function found(wire: WireRecord): FoundRecord {
  return { ...wire, timestamp: 1, position: { partition: 0, offset: 0 } };
}

async function throughWire(to: AvroCodec, from: Pick<AvroCodec, 'decode'>, record: LogRecord): Promise<LogRecord> {
  return from.decode(record.topic, found(await to.encode(record)));
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Fault ? error.code : undefined;
}

/** The code of what went wrong, at once or later. */
async function failure(doing: () => unknown): Promise<string | undefined> {
  try {
    await doing();
    return 'nothing';
  } catch (error) {
    return codeOf(error);
  }
}

beforeAll(async () => {
  prefix = aPrefix();
  codec = codecOf();
  await codec.register();
});

describe('records through the registry', () => {
  it('come back as they were, whatever older versions and this one wrote', async () => {
    for (const record of records) expect(await throughWire(codec, codec, record)).toStrictEqual(record);
  });

  it('come back as they were from JSON, too: a topic may hold both', async () => {
    for (const record of records) {
      const wire = await jsonCodec.encode(record);
      expect(await codec.decode(record.topic, found(wire))).toStrictEqual(record);
    }
  });

  it('are read by another process, which asks the registry for what it does not know', async () => {
    const other = codecOf();
    for (const record of records.slice(0, 100)) expect(await throughWire(codec, other, record)).toStrictEqual(record);
  });

  it('have the headers of their JSON form, but for the type of the content', async () => {
    const [avroWire, jsonWire] = [await codec.encode(completed), await jsonCodec.encode(completed)];
    expect(avroWire.headers).toEqual({ ...jsonWire.headers, 'content-type': 'application/vnd.confluent.avro' });
    expect(avroWire.key).toEqual(jsonWire.key);
  });

  it('stand under subjects that are named by topic and record', async () => {
    const id = (await codec.encode(completed)).value?.readUInt32BE(1);
    const subject = `${prefix}transitions-millrace.transitions.v1.RunCompleted`;
    const answer = await fetch(`${services().schemaRegistryUrl}/subjects/${subject}/versions/latest`);
    expect(await answer.json()).toMatchObject({ subject, id });
  });

  it('are read by others: a client that knows only the registry', async () => {
    const registry = new SchemaRegistry({ host: services().schemaRegistryUrl });
    const { value } = await codec.encode(completed);
    const body: unknown = await registry.decode(value ?? Buffer.alloc(0));
    expect(JSON.parse(JSON.stringify(body))).toEqual(completed.body);
  });

  it('go as JSON where their type has no schema, and have no value where they are tombstones', async () => {
    const thing: LogRecord = { ...completed, type: 'Thing', body: { n: 1 } };
    expect((await codec.encode(thing)).value?.toString()).toBe('{"n":1}');
    expect(await throughWire(codec, codec, thing)).toEqual(thing);
    const gone: LogRecord = { ...completed, topic: 'snapshots', type: 'Snapshot', body: undefined };
    expect((await codec.encode(gone)).value).toBeNull();
    expect(await throughWire(codec, codec, gone)).toEqual(gone);
  });

  it('are refused when they are not made as their type says', async () => {
    const broken: LogRecord = { ...completed, body: { runId: 'R' } };
    await expect((async () => codec.encode(broken))()).rejects.toThrow(TypeError);
    await expect((async () => codecOf().encode(broken))()).rejects.toThrow(TypeError);
  });
});

describe('records that are no records', () => {
  const value = async () => (await codec.encode(completed)).value ?? Buffer.alloc(0);
  const decoded = async (change: (bytes: Buffer) => Buffer) => {
    const wire = found({ ...(await codec.encode(completed)), value: change(await value()) });
    return failure(() => codec.decode('transitions', wire));
  };

  it('are told as such, so that they are set aside: cut off, with something behind them', async () => {
    expect(await decoded((bytes) => bytes.subarray(0, -1))).toBe('record_unreadable');
    expect(await decoded((bytes) => Buffer.concat([bytes, bytes]))).toBe('record_unreadable');
    expect(await decoded(() => Buffer.from([0, 0]))).toBe('record_unreadable');
  });

  it('are told as such: of a schema that nobody knows', async () => {
    const unknown = (bytes: Buffer): Buffer => {
      bytes.writeUInt32BE(0x7fffffff, 1);
      return bytes;
    };
    expect(await decoded(unknown)).toBe('record_unreadable');
  });

  it('are told as such: of another type than their headers say', async () => {
    const wire = await codec.encode(completed);
    const other = { ...wire, headers: { ...wire.headers, 'millrace-type': 'RunFailed' } };
    expect(await failure(() => codec.decode('transitions', found(other)))).toBe('record_unreadable');
  });
});

describe('what a newer version wrote', () => {
  const type = recordTypeNamed('transitions', 'RunCompleted');
  const ours = avroSchemaOf(type as NonNullable<typeof type>);
  const registry = () => new SchemaRegistry({ host: services().schemaRegistryUrl });

  async function written(schema: AvroNamed, subject: string, body: unknown): Promise<Buffer> {
    const raw = { type: 'AVRO', schema: JSON.stringify(schema) } as unknown as Parameters<
      SchemaRegistry['register']
    >[0];
    const { id } = await registry().register(raw, { subject: prefix + subject, compatibility: COMPATIBILITY.BACKWARD });
    const bytes = avro.Type.forSchema(schema as avro.Schema, { registry: {} }).toBuffer(body);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(id, 1);
    return Buffer.concat([head, bytes]);
  }

  it('is read: fields that are not known here are passed over', async () => {
    const note = { name: 'note', type: ['null', 'string'] as const, doc: '', default: null };
    const newer = { ...ours, fields: [note, ...ours.fields] };
    const value = await written(newer, 'newer', { note: 'new', ...(completed.body as object) });
    const wire = { ...(await codec.encode(completed)), value };
    expect(await codec.decode('transitions', found(wire))).toEqual(completed);
  });

  it('is read as it was written where the type is not known at all', async () => {
    const later: AvroNamed = { ...ours, name: 'RunPondered' };
    const value = await written(later, 'later', completed.body);
    const { headers, ...wire } = await codec.encode(completed);
    const record = { ...wire, headers: { ...headers, 'millrace-type': 'RunPondered' }, value };
    expect(await codec.decode('transitions', found(record))).toEqual({ ...completed, type: 'RunPondered' });
  });
});

/** The registry behind a door that can be closed. */
class Door {
  readonly seen: { readonly url: string; readonly authorization: string | undefined }[] = [];
  open = true;
  /** What is answered in place of the registry. */
  refusal: { readonly status: number; readonly body: object } | undefined;

  private constructor(private readonly server: Server) {}

  static async to(url: string): Promise<Door> {
    const server = createServer();
    const door = new Door(server);
    server.on('request', (request, response) => {
      door.seen.push({ url: request.url ?? '', authorization: request.headers.authorization });
      if (!door.open) {
        request.socket.destroy();
        return;
      }
      if (door.refusal) {
        response.writeHead(door.refusal.status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(door.refusal.body));
        return;
      }
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
        const body = Buffer.concat(chunks);
        const { 'content-type': type = 'application/json' } = request.headers;
        const answer = await fetch(url + request.url, {
          method: request.method ?? 'GET',
          headers: { 'content-type': type },
          ...(body.length === 0 ? {} : { body }),
        });
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
      })();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return door;
  }

  get address(): string {
    const address = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('the door is not there');
    return `127.0.0.1:${address.port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

describe('a registry that is away', () => {
  let door: Door | undefined;
  afterEach(() => door?.close());

  it('lets nothing be written that it has not been told, and nothing be thrown away', async () => {
    door = await Door.to(services().schemaRegistryUrl);
    door.open = false;
    const own = codecOf(`http://${door.address}`);
    expect(await failure(() => own.register())).toBe('log_unavailable');
    expect(await failure(() => own.encode(completed))).toBe('log_unavailable');
    const foreign = found(await codec.encode(completed));
    expect(await failure(() => own.decode('transitions', foreign))).toBe('log_unavailable');
  });

  it('is asked again when it is needed, once for all that need it', async () => {
    door = await Door.to(services().schemaRegistryUrl);
    door.open = false;
    const own = codecOf(`http://${door.address}`);
    expect(await failure(() => own.encode(completed))).toBe('log_unavailable');
    door.open = true;
    door.seen.length = 0;
    const wires = await Promise.all([own.encode(completed), own.encode(completed), own.encode(completed)]);
    expect(wires[2]).toEqual(await codec.encode(completed));
    expect(door.seen).toHaveLength(1);
  });

  it('is not missed by what is known already', async () => {
    door = await Door.to(services().schemaRegistryUrl);
    const own = codecOf(`http://${door.address}`);
    await own.register();
    const foreign = await codec.encode(completed);
    door.open = false;
    door.seen.length = 0;
    for (const record of records) expect(await throughWire(own, own, record)).toStrictEqual(record);
    expect(await own.decode('transitions', found(foreign))).toStrictEqual(completed);
    expect(door.seen).toEqual([]);
  });

  it('gets the user and the password of its URL', async () => {
    door = await Door.to(services().schemaRegistryUrl);
    await codecOf(`http://mill:r%40ce@${door.address}/`).encode(completed);
    expect(door.seen).toEqual([
      {
        url: `/subjects/${encodeURIComponent(`${prefix}transitions-millrace.transitions.v1.RunCompleted`)}/versions`,
        authorization: `Basic ${Buffer.from('mill:r@ce').toString('base64')}`,
      },
    ]);
  });
});

describe('a registry that does not take a schema', () => {
  let door: Door | undefined;
  afterEach(() => door?.close());

  // The test registry takes everything: what it would say is said at the door.
  it('stops the start, with the subject and what it says', async () => {
    door = await Door.to(services().schemaRegistryUrl);
    door.refusal = { status: 409, body: { error_code: 409, message: 'incompatible with an earlier schema' } };
    const own = codecOf(`http://${door.address}`);
    await expect(own.register()).rejects.toMatchObject({ code: 'settings_invalid', data: { status: 409 } });
    await expect(own.register()).rejects.toThrow(/incompatible with an earlier schema/);
    // Whoever appends is told to try again: nothing is lost while people look into it.
    expect(await failure(() => own.encode(completed))).toBe('log_unavailable');
  });

  it('is only away when it has a fault of its own', async () => {
    door = await Door.to(services().schemaRegistryUrl);
    door.refusal = { status: 500, body: { error_code: 50001, message: 'store' } };
    const own = codecOf(`http://${door.address}`);
    expect(await failure(() => own.register())).toBe('log_unavailable');
  });
});

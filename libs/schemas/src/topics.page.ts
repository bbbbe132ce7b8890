import type { LogRecord, Topic } from '#ports/event-log.port.js';
import { avroNameOf } from './avro.schema.js';
import type { RecordType } from './record.type.js';
import { RECORD_TYPES } from './record.types.js';
import { sayingOf, type FieldNode, type Node, type RecordNode } from './shape.js';
import { TOPICS, type TopicFacts } from './topics.js';

/** The page about topics and records, docs/topics.md. */

/** Told once, in the words about the topic. */
const COMMON: Partial<Record<Topic, readonly string[]>> = {
  commands: ['type', 'env', 'at', 'ask'],
  transitions: ['type', 'at'],
};

const EXAMPLE_CHARS_MAX = 700;

const HEAD = `# Topics and records

Everything that happens in Millrace is a record on one of six topics, and the records are public: read them with Flink, Connect, a script, anything that
reads Kafka. This page is made from the descriptions in \`libs/schemas\`, as are the schemas in \`schemas/avro\` and \`schemas/json\`
(\`npm run schemas\`).`;

const WIRE = `## A record

Topics have a prefix, \`millrace.\` unless the installation chose another. A key is text in UTF-8; its partition is the one that Kafka's Java client
chooses (murmur2), but for snapshots, which stand in the partition of the commands that they are made of. Records of one key are read in the order in which they were appended. A value is

- JSON (UTF-8), where no schema registry is configured;
- Avro in Confluent wire format (a zero byte, the schema's id in four bytes, the body), where \`SCHEMA_REGISTRY_URL\` is set. Subjects are named by the
  record: \`<topic>-<record name>\`, such as \`millrace.transitions-millrace.transitions.v1.RunCompleted\` (TopicRecordNameStrategy). A topic may
  hold both, after a switch: a value that begins with a zero byte is Avro.

Both have the same fields. In JSON a field that is absent is left out, in Avro it is null. No value is a tombstone, on compacted topics.

| header | holds |
|---|---|
| \`ce_specversion\` | \`1.0\`: CloudEvents, binary mode |
| \`ce_id\` | the same whenever the same is said: a second copy of a record has the same one |
| \`ce_type\` | \`millrace.\` and the record type; of an event its name |
| \`ce_source\` | \`/millrace/<topic>\` |
| \`ce_time\` | the time of the record |
| \`content-type\` | \`application/json\` or \`application/vnd.confluent.avro\` |
| \`millrace-env\` | the environment |
| \`millrace-type\` | the record type |
| \`millrace-schema\` | the version of its schema |
| \`traceparent\` | W3C trace context, where there is one |
| \`millrace-key\` | the key as a JSON text, where UTF-8 cannot carry it |

Types of fields:

| here | JSON | Avro | is |
|---|---|---|---|
| text | string | string | text; where words are listed, others may join them |
| JSON text | string | string | the text of a JSON value, in canonical form (RFC 8785): parse it once more |
| any JSON | any | string | a JSON value; in Avro the text of one |
| whole | number | long | a whole number, between -2^53 and 2^53 |
| instant | number | long | milliseconds since 1970-01-01T00:00:00Z |
| number | number | double | a number with fractions |
| flag | boolean | boolean | \`true\` or \`false\` |
| list of | array | array | |`;

const FOLLOW = `## Following runs

Status and output of every run follow from \`transitions\` alone. [examples/python-consumer](../examples/python-consumer/README.md) does it in some
lines, and the tests hold its table to the API.

- **Records may come twice.** \`runId\`, \`command.partition\`, \`command.offset\` and \`index\` name one transition; \`ce_id\` is made of them. A copy says the
  same, and may come late.
- **The order of a run** is the order in its partition; all its records are in one.
- **The rule**: begin with \`RunScheduled\`; a run whose beginning is no longer kept cannot be told. Status and output change by the records below. A
  run that has ended stays as it is, whatever comes after. All other types leave both alone.

| record | from | status | output |
|---|---|---|---|
| \`RunScheduled\` | nothing | Scheduled | none |
| \`RunStarted\` | Scheduled, Running | Running | none |
| \`RunSkipped\` | Scheduled, Running | Skipped | none |
| \`RunCompleted\` | Scheduled, Running | Completed | \`output\`, a JSON text |
| \`RunFailed\` | Scheduled, Running | Failed | \`output\`, a JSON text: the error |
| \`RunCancelled\` | Scheduled, Running | Cancelled | none |

That rule bears copies as it is: the same records again, in any number, come to the same. Who counts or sums has to leave out copies first.`;

const OUTSIDE = `## Events from outside

Any producer may write to \`millrace.events\`; what it writes is an event like one sent to the event API. A record without the header \`millrace-type\` is
read as one of

| form | headers | value (JSON, UTF-8) |
|---|---|---|
| plain | | \`{"name":"shop/order.placed","data":{"order":7},"id":"order-7","ts":1800000000000}\` |
| CloudEvents, binary | \`ce_type\`, with \`ce_id\` and \`ce_time\` if wanted | the data: \`{"order":7}\` |
| CloudEvents, structured | \`content-type: application/cloudevents+json\` | \`{"type":"shop/order.placed","id":"order-7","time":"2027-01-15T08:00:00Z","data":{"order":7}}\` |

Only the name (or \`type\`) is required. What the event API takes is taken here, by the same rules and bounds, and meets the same triggers, waits and controls:

- **Name**: those that begin with \`inngest/\` are Millrace's own. **Data** is an object, or absent. \`user\` and \`v\` may be given in the plain form.
- **Size**: an event has 3 MiB at most, and is one record; compression is welcome.
- **Time**: \`ts\` or \`time\`; where there is none it is the timestamp of the record, which also says when the event was received.
- **Key**: the event's id, with the partitioner of Kafka's Java client, which librdkafka (kcat, C, Go, Python, .NET) calls \`murmur2_random\`. An id starts a
  function once in 24 hours, and for that all copies must meet in one partition, those by the event API among them. Nothing else is made of the key.
- **Without an id** an event is known by its place on the topic: reading it twice is reading it once, writing it twice makes two.
- **Headers**: a W3C \`traceparent\` is passed on. Records with \`millrace-type\` are Millrace's own: do not write it. All else is ignored.
- **Environment**: the default one. Who may write to the topic may send any event: give that right as you give event keys.
- **Certainty**: write with \`acks=all\`. There is no answer; the run, or why there is none, is on \`transitions\`.

\`\`\`
echo '{"name":"shop/order.placed","id":"order-7","data":{"order":7}}' |
  kcat -P -b localhost:9092 -t millrace.events -k order-7 -X topic.partitioner=murmur2_random
echo '{"order":7}' |
  kcat -P -b localhost:9092 -t millrace.events -k order-7 -X topic.partitioner=murmur2_random -H ce_type=shop/order.placed -H ce_id=order-7
\`\`\`

What cannot be read as an event is filed under [\`dead-letters\`](#dead-letters-records) with its bytes and the reason, the log of the runner says so, and the
records behind it go on.`;

const RULES = `## Versions

The version in a schema's name (\`...v1\`) rises only when a change would break somebody. Under one version

- an optional field may be added; nothing else of a record changes: no field is taken away, renamed, made required, or of another type;
- words may be added, and variants of a union (their fields are optional);
- new record types may appear.

So old readers read new records, and new readers old ones, in both encodings. Readers must pass over fields, words and record types that they do not
know. Anything else is a new version, of which Millrace says how to make it from the one before; the old one stays readable for as long as a log
holds it. \`npm test\` compares the schemas with those of every release (\`schemas/released\`), both ways.`;

/** @param samples of all types; of each type the first is shown that says most in few words */
export function topicsPage(samples: readonly LogRecord[]): string {
  const parts = partsOf(RECORD_TYPES);
  return (
    [
      HEAD,
      [
        '## Topics',
        '',
        '| topic | key | partitions | kept | holds |',
        '|---|---|---|---|---|',
        ...TOPICS.map(topicRow),
      ].join('\n'),
      'Numbers are what a new installation gets. `events` and `commands` have the same number of partitions for good.',
      WIRE,
      FOLLOW,
      OUTSIDE,
      RULES,
      ...TOPICS.flatMap((facts) => topicSection(facts, samples)),
      '## Parts\n\nRecords that stand inside others.',
      ...parts.flatMap(partSection),
      '',
    ]
      .join('\n\n')
      .trimEnd() + '\n'
  );
}

function topicRow({ topic, key, partitions, kept, holds }: TopicFacts): string {
  return `| [\`${topic}\`](#${topic}-records) | ${key} | ${partitions} | ${kept} | ${holds} |`;
}

function topicSection({ topic, about }: TopicFacts, samples: readonly LogRecord[]): readonly string[] {
  const types = RECORD_TYPES.filter((type) => type.topic === topic);
  const common = topic === 'commands' ? commandFields(types) : [];
  return [`## \`${topic}\` records`, about, ...common, ...types.flatMap((type) => typeSection(type, samples))];
}

function commandFields([first]: readonly RecordType[]): readonly string[] {
  const shown = first?.body.fields.filter(({ name }) => COMMON.commands?.includes(name)) ?? [];
  return ['Every value has', table(shown)];
}

function typeSection(type: RecordType, samples: readonly LogRecord[]): readonly string[] {
  const { topic, type: name, body } = type;
  const shown = factsOf(type).filter((field) => !COMMON[topic]?.includes(field.name));
  const example = exampleOf(type, samples);
  return [
    `### ${name}`,
    `${body.doc} \`${avroNameOf(type)}\``,
    ...(shown.length === 0 ? [] : [table(shown)]),
    ...(example === undefined ? [] : ['```json\n' + JSON.stringify(example) + '\n```']),
  ];
}

/** The fields that tell something of a type: of a transition those of what happened. */
function factsOf({ topic, body }: RecordType): readonly FieldNode[] {
  const inner = topic === 'transitions' ? body.fields.find(({ name }) => name === 'transition') : undefined;
  return inner?.node.kind === 'record' ? inner.node.record.fields : body.fields;
}

function partSection({ name, doc, fields, tag }: RecordNode): readonly string[] {
  const variants = tag === undefined ? doc : `${doc} \`${tag}\` tells which fields it has.`;
  return [`### ${name}`, variants, table(fields)];
}

function table(fields: readonly FieldNode[]): string {
  const rows = fields.map(
    (field) => `| \`${field.name}\`${field.optional ? '?' : ''} | ${nameOf(field.node)} | ${cell(sayingOf(field))} |`,
  );
  return ['| field | type | says |', '|---|---|---|', ...rows].join('\n');
}

function nameOf(node: Node): string {
  switch (node.kind) {
    case 'json':
      return 'JSON text';
    case 'any':
      return 'any JSON';
    case 'word':
      return 'text';
    case 'decimal':
      return 'number';
    case 'list':
      return `list of ${nameOf(node.of)}`;
    case 'record':
      return `[${node.record.name}](#${node.record.name.toLowerCase()})`;
    default:
      return node.kind;
  }
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function exampleOf({ topic, type }: RecordType, samples: readonly LogRecord[]): unknown {
  const bodies = samples.flatMap((sample) =>
    sample.topic === topic && sample.type === type && sample.body !== undefined ? [sample.body] : [],
  );
  const longestFirst = bodies.sort((a, b) => lengthOf(b) - lengthOf(a));
  return longestFirst.find((body) => lengthOf(body) <= EXAMPLE_CHARS_MAX) ?? longestFirst.at(-1);
}

function lengthOf(body: unknown): number {
  return JSON.stringify(body).length;
}

/** Records inside records, by name; those of what happened are shown with their types. @throws TypeError where two of one name differ */
function partsOf(types: readonly RecordType[]): readonly RecordNode[] {
  const found = new Map<string, RecordNode>();
  const visit = (node: Node): void => {
    if (node.kind === 'list') visit(node.of);
    if (node.kind !== 'record') return;
    const { record } = node;
    const before = found.get(record.name);
    if (before && JSON.stringify(before) !== JSON.stringify(record))
      throw new TypeError(`there are two different records named ${record.name}`);
    found.set(record.name, record);
    for (const field of record.fields) visit(field.node);
  };
  for (const type of types) for (const { node } of factsOf(type)) visit(node);
  for (const { topic, body } of types) {
    if (topic === 'transitions') for (const { name, node } of body.fields) if (name !== 'transition') visit(node);
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

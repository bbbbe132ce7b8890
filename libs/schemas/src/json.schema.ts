import type { RecordType } from './record.type.js';
import { sayingOf, type Node, type RecordNode } from './shape.js';

/** A JSON Schema, draft 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * The JSON Schema of a record's value. It is open: a newer version may write fields and words that are not in it, and what it says of
 * words is an example.
 */
export function jsonSchemaOf({ topic, type, version, body }: RecordType): JsonSchema {
  const defs = new Map<string, JsonSchema | undefined>();
  const schema = recordOf(body, defs);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `urn:millrace:${topic}:${type}:v${version}`,
    title: type,
    ...schema,
    ...(defs.size === 0 ? {} : { $defs: Object.fromEntries(defs) }),
  };
}

function recordOf({ doc, fields }: RecordNode, defs: Map<string, JsonSchema | undefined>): JsonSchema {
  const properties = fields.map((field) => [field.name, { description: sayingOf(field), ...typeOf(field.node, defs) }]);
  const required = fields.filter(({ optional }) => !optional).map(({ name }) => name);
  return { description: doc, type: 'object', properties: Object.fromEntries(properties) as JsonSchema, required };
}

function typeOf(node: Node, defs: Map<string, JsonSchema | undefined>): JsonSchema {
  switch (node.kind) {
    case 'text':
      return { type: 'string' };
    case 'json':
      return { type: 'string', contentMediaType: 'application/json' };
    case 'any':
      return {};
    case 'word':
      return { type: 'string', examples: node.words };
    case 'whole':
    case 'instant':
      return { type: 'integer' };
    case 'decimal':
      return { type: 'number' };
    case 'flag':
      return { type: 'boolean' };
    case 'list':
      return { type: 'array', items: typeOf(node.of, defs) };
    case 'record': {
      const { record } = node;
      if (!defs.has(record.name)) {
        defs.set(record.name, undefined); // Its place, before those that are inside it.
        defs.set(record.name, recordOf(record, defs));
      }
      return { $ref: `#/$defs/${record.name}` };
    }
  }
}

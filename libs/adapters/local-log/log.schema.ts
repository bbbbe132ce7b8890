import type { Topic } from '#ports/event-log.port.js';
import type { FileSchema } from './sqlite-file.js';

export interface TopicTable {
  /** In `times`. */
  readonly id: number;
  readonly table: string;
  readonly compacted: boolean;
}

/** A table a topic: so each grows at its end only, and a record carries neither topic nor index. */
export const TOPIC_TABLES: Readonly<Record<Topic, TopicTable>> = {
  events: { id: 1, table: 'events', compacted: false },
  commands: { id: 2, table: 'commands', compacted: false },
  transitions: { id: 3, table: 'transitions', compacted: false },
  snapshots: { id: 4, table: 'snapshots', compacted: true },
  config: { id: 5, table: 'config', compacted: true },
  'dead-letters': { id: 6, table: 'dead_letters', compacted: false },
};

/** Records of a stretch that `times` has one row for. */
export const STRETCH = 1_024;

const record = (table: string) => `
  CREATE TABLE ${table} (
    offset INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    at INTEGER NOT NULL,
    key TEXT NOT NULL,
    body TEXT,
    trace TEXT
  ) STRICT;`;

const VERSION_1 = `
  -- What is the same for many records.
  CREATE TABLE kinds (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    schema INTEGER NOT NULL,
    env TEXT NOT NULL,
    UNIQUE (type, schema, env)
  ) STRICT;
  -- Only where records were deleted, so that their offsets are not given again: the offset that comes next, at least.
  CREATE TABLE ends (
    topic INTEGER PRIMARY KEY,
    next INTEGER NOT NULL
  ) STRICT;
  -- The latest time among the records [stretch * 1024, (stretch + 1) * 1024) of a topic, once the stretch is full.
  CREATE TABLE times (
    topic INTEGER NOT NULL,
    stretch INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    PRIMARY KEY (topic, stretch)
  ) STRICT, WITHOUT ROWID;
  ${['events', 'commands', 'transitions', 'snapshots', 'config', 'dead_letters'].map(record).join('')}
  CREATE INDEX snapshots_key ON snapshots (key);
  CREATE INDEX config_key ON config (key);
`;

export const LOG_SCHEMA: FileSchema = {
  applicationId: 0x4d_52_4c_47, // MRLG
  migrations: [VERSION_1],
  cacheKiB: 8_192,
};

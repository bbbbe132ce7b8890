/** A change of the tables of History. The list only grows; each statement can be run again. */
export interface Migration {
  readonly id: number;
  readonly name: string;
  readonly statements: readonly string[];
}

/*
 * A row is written again whenever its record is read again or its run moves on, so every table replaces by its ORDER BY key and
 * every read picks the newest row of a key itself: merging is the engine's housekeeping and never part of an answer.
 *
 * Parts are by month of a time of our own clock that is the same in nearly every version of a row. Not of the time in an event's ULID:
 * a sender may choose that (`x-inngest-event-id-seed`), and a batch from a thousand different months is a batch the engine refuses.
 *
 * Rows are synced to disk when they are added, positions are not: after a power cut a position may be older than the rows, which
 * means that some are added again, but never newer.
 */
const SYNCED = 'SETTINGS fsync_after_insert = 1, fsync_part_directory = 1';

export const MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS migrations (
  id UInt32,
  name String,
  at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree ORDER BY id`;

/**
 * A history that is emptied begins a new generation, and positions of another one do not count: so who was about to write how far it is when
 * the rows went does not say that they are there. The least id is the one that counts.
 */
export const GENERATIONS_TABLE = `CREATE TABLE IF NOT EXISTS generations (
  id String
) ENGINE = ReplacingMergeTree ORDER BY id`;

/** Less than every id of a generation: nothing may be added until it is gone. */
export const BEING_EMPTIED = '-';

/** What an emptied history has nothing in; positions of former forms, too, or a migration would bring them back. */
export const EMPTIED_TABLES = [
  'events',
  'runs',
  'transitions',
  'decisions',
  'positions',
  'positions_by_partition',
  'positions_by_generation',
  'migrations',
] as const;

export const HISTORY_MIGRATIONS: readonly Migration[] = [
  {
    id: 1,
    name: 'events, runs, transitions, positions',
    statements: [
      `CREATE TABLE IF NOT EXISTS events (
        env LowCardinality(String),
        internal_id String,
        id String,
        name LowCardinality(String),
        ts DateTime64(3, 'UTC'),
        received_at DateTime64(3, 'UTC'),
        source LowCardinality(String),
        payload String CODEC(ZSTD),
        log_partition UInt32,
        log_offset UInt64,
        INDEX by_name name TYPE bloom_filter GRANULARITY 1,
        INDEX by_received_at received_at TYPE minmax GRANULARITY 1
      ) ENGINE = ReplacingMergeTree(log_offset)
      PARTITION BY toYYYYMM(received_at)
      ORDER BY (env, internal_id)
      ${SYNCED}`,

      `CREATE TABLE IF NOT EXISTS runs (
        env LowCardinality(String),
        run_id String,
        function_id LowCardinality(String),
        function_slug LowCardinality(String),
        function_version UInt32,
        app_id LowCardinality(String),
        app_name LowCardinality(String),
        status LowCardinality(String),
        event_name LowCardinality(String),
        event_ids Array(String),
        cron LowCardinality(String),
        batch_id String,
        queued_at DateTime64(3, 'UTC'),
        start_at DateTime64(3, 'UTC'),
        started_at Nullable(DateTime64(3, 'UTC')),
        ended_at Nullable(DateTime64(3, 'UTC')),
        output Nullable(String) CODEC(ZSTD),
        version UInt64,
        rank UInt64 COMMENT 'version, then how far the run is: which row of a run is the newest',
        INDEX by_event event_ids TYPE bloom_filter GRANULARITY 1,
        INDEX by_queued_at queued_at TYPE minmax GRANULARITY 1
      ) ENGINE = ReplacingMergeTree(rank)
      PARTITION BY toYYYYMM(queued_at)
      ORDER BY (env, run_id)
      ${SYNCED}`,

      `CREATE TABLE IF NOT EXISTS transitions (
        env LowCardinality(String),
        run_id String,
        function_id LowCardinality(String),
        command_partition UInt32,
        command_offset UInt64,
        command_index UInt32,
        type LowCardinality(String),
        at DateTime64(3, 'UTC'),
        step_id String,
        step_name String,
        body String CODEC(ZSTD)
      ) ENGINE = ReplacingMergeTree
      PARTITION BY toYYYYMM(at)
      ORDER BY (env, run_id, command_offset, command_index)
      ${SYNCED}`,

      `CREATE TABLE IF NOT EXISTS positions (
        reader String,
        log_partition UInt32,
        log_offset UInt64
      ) ENGINE = ReplacingMergeTree(log_offset)
      ORDER BY reader`,
    ],
  },
  {
    id: 2,
    name: 'decisions about events; why a run was skipped',
    statements: [
      `CREATE TABLE IF NOT EXISTS decisions (
        env LowCardinality(String),
        event_id String,
        function_id LowCardinality(String),
        key String,
        log_topic LowCardinality(String),
        log_partition UInt32,
        log_offset UInt64,
        log_index UInt32,
        type LowCardinality(String),
        at DateTime64(3, 'UTC'),
        run_id String,
        body String CODEC(ZSTD)
      ) ENGINE = ReplacingMergeTree(at)
      PARTITION BY toYYYYMM(at)
      ORDER BY (env, event_id, log_topic, log_partition, log_offset, log_index, key)
      ${SYNCED}`,

      `ALTER TABLE runs
        ADD COLUMN IF NOT EXISTS skip_reason LowCardinality(String) DEFAULT '',
        ADD COLUMN IF NOT EXISTS skipped_for String DEFAULT ''`,
    ],
  },
  {
    id: 3,
    name: 'positions by partition',
    statements: [
      `CREATE TABLE IF NOT EXISTS positions_by_partition (
        reader String,
        log_partition UInt32,
        log_offset UInt64
      ) ENGINE = ReplacingMergeTree(log_offset)
      ORDER BY (reader, log_partition)`,

      // Merging may have left the furthest position of a reader only; the logs that were read until now had one partition.
      `INSERT INTO positions_by_partition SELECT reader, log_partition, log_offset FROM positions`,
    ],
  },
  {
    id: 4,
    name: 'positions of a generation',
    statements: [
      GENERATIONS_TABLE,

      `CREATE TABLE IF NOT EXISTS positions_by_generation (
        generation String,
        reader String,
        log_partition UInt32,
        log_offset UInt64
      ) ENGINE = ReplacingMergeTree(log_offset)
      ORDER BY (generation, reader, log_partition)`,

      `INSERT INTO positions_by_generation
        SELECT '0' AS generation, reader, log_partition, log_offset FROM positions_by_partition`,

      `INSERT INTO generations SELECT DISTINCT generation FROM positions_by_generation WHERE generation = '0'`,
    ],
  },
];

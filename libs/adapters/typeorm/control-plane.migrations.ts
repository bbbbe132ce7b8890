import {
  type DataSource,
  Table,
  TableColumn,
  type MigrationInterface,
  type QueryRunner,
  type TableColumnOptions,
} from 'typeorm';

const column = (
  name: string,
  type: 'varchar' | 'text' | 'bigint' | 'integer',
  more: Partial<TableColumnOptions> = {},
) => ({
  name,
  type,
  ...more,
});

const PRIMARY = { isPrimary: true };
const NULLABLE = { isNullable: true };

class Beginning implements MigrationInterface {
  readonly name = 'Beginning1764000000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.createTable(
      new Table({
        name: 'apps',
        columns: [
          column('id', 'varchar', PRIMARY),
          column('env', 'varchar'),
          column('name', 'varchar'),
          column('url', 'varchar'),
          column('method', 'varchar'),
          column('sdk', 'varchar'),
          column('framework', 'varchar'),
          column('app_version', 'varchar', NULLABLE),
          column('checksum', 'varchar'),
          column('synced_at', 'bigint'),
          column('error_code', 'varchar', NULLABLE),
          column('error_message', 'text', NULLABLE),
          column('archived_at', 'bigint', NULLABLE),
        ],
        indices: [{ name: 'apps_by_env_url', columnNames: ['env', 'url'] }],
        uniques: [{ name: 'apps_by_env_name', columnNames: ['env', 'name'] }],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'functions',
        columns: [
          column('id', 'varchar', PRIMARY),
          column('env', 'varchar'),
          column('app_id', 'varchar'),
          column('slug', 'varchar'),
          column('version', 'integer'),
          column('config', 'text'),
          column('archived_at', 'bigint', NULLABLE),
        ],
        indices: [{ name: 'functions_by_env', columnNames: ['env'] }],
        uniques: [{ name: 'functions_by_app_slug', columnNames: ['app_id', 'slug'] }],
        foreignKeys: [
          {
            name: 'functions_app',
            columnNames: ['app_id'],
            referencedTableName: 'apps',
            referencedColumnNames: ['id'],
          },
        ],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'outbox',
        columns: [
          column('id', 'integer', PRIMARY),
          column('kind', 'varchar'),
          column('key', 'varchar'),
          column('env', 'varchar'),
          column('body', 'text', NULLABLE),
        ],
      }),
    );
    await runner.createTable(
      new Table({ name: 'counters', columns: [column('name', 'varchar', PRIMARY), column('value', 'integer')] }),
    );
    await runner.manager.insert('Counter', { name: 'outbox', value: 0 });
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['counters', 'outbox', 'functions', 'apps']) await runner.dropTable(table);
  }
}

class FunctionsPaused implements MigrationInterface {
  readonly name = 'FunctionsPaused1764150000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.addColumns('functions', [
      new TableColumn(column('paused_at', 'bigint', NULLABLE)),
      new TableColumn(column('paused_running', 'varchar', NULLABLE)),
    ]);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.dropColumns('functions', ['paused_at', 'paused_running']);
  }
}

/** Oldest first; the list only grows. */
export const MIGRATIONS = [Beginning, FunctionsPaused];

export const MIGRATIONS_TABLE = 'migrations';

/** A migration that was run there and is not known here. */
export async function newerMigration(source: DataSource): Promise<string | undefined> {
  const known = new Set<string>(MIGRATIONS.map((Migration) => new Migration().name));
  const done = await source.query<{ name: string }[]>(`SELECT name FROM ${MIGRATIONS_TABLE}`);
  return done.find(({ name }) => !known.has(name))?.name;
}

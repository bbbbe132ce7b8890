/*
 * The program of the engine process: ClickHouse in a process of its own, told what to do over the channel to its server.
 * Started by engine-process.ts. Also runs as it is under Node's type stripping, so it imports types only, and the engine by name.
 */
import type { EngineReply, EngineRequest, EngineSettings } from './engine.messages.js';

interface ChdbSession {
  queryBindAsync(sql: string, params: object, options: { format: string }): Promise<{ bytes(): Uint8Array }>;
  insert(options: { table: string; format: string; values: Uint8Array }): Promise<unknown>;
  close(): void;
}

interface ChdbModule {
  readonly Session: new (path: string, options: { connectionArgs: readonly string[] }) => ChdbSession;
}

let session: ChdbSession | undefined;
const underWay = new Set<Promise<void>>();

function reply(message: EngineReply): void {
  // A server that is gone needs no answer: `disconnect` below ends this process.
  process.send?.(message, undefined, undefined, () => {});
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function load(module: string): Promise<ChdbModule> {
  const loaded = (await import(module)) as ChdbModule & { readonly default?: ChdbModule };
  return loaded.default ?? loaded;
}

async function openFolder(chdb: ChdbModule, settings: EngineSettings): Promise<ChdbSession> {
  const giveUpAt = Date.now() + settings.lockWaitMs;
  for (;;) {
    try {
      return new chdb.Session(settings.path, { connectionArgs: settings.args });
    } catch (error) {
      if (Date.now() >= giveUpAt) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function open(settings: EngineSettings): Promise<void> {
  let chdb: ChdbModule;
  try {
    chdb = await load(settings.module);
  } catch (error) {
    return reply({ kind: 'failed', problem: 'missing', message: messageOf(error) });
  }
  try {
    session = await openFolder(chdb, settings);
  } catch (error) {
    return reply({ kind: 'failed', problem: 'unopened', message: messageOf(error) });
  }
  reply({ kind: 'ready' });
}

async function answer(id: number, work: (open: ChdbSession) => Promise<Uint8Array>): Promise<void> {
  try {
    if (!session) throw new Error('the engine is not open');
    reply({ kind: 'done', id, rows: await work(session) });
  } catch (error) {
    const { clickhouseCode } = error as { clickhouseCode?: number };
    reply({ kind: 'refused', id, code: clickhouseCode, message: messageOf(error) });
  }
}

function track(work: Promise<void>): void {
  underWay.add(work);
  void work.finally(() => underWay.delete(work));
}

async function end(): Promise<void> {
  while (underWay.size > 0) await Promise.all(underWay);
  session?.close();
  process.exit(0);
}

process.on('message', (request: EngineRequest) => {
  switch (request.kind) {
    case 'open':
      return track(open(request.settings));
    case 'run':
      return track(
        answer(request.id, async (open) => {
          const result = await open.queryBindAsync(request.sql, request.params, { format: 'JSONEachRow' });
          return result.bytes();
        }),
      );
    case 'insert':
      return track(
        answer(request.id, async (open) => {
          await open.insert({ table: request.table, format: 'JSONEachRow', values: request.rows });
          return new Uint8Array(0);
        }),
      );
    case 'end':
      void end();
  }
});

// The server is gone, perhaps killed: its next process wants the folder. What was acknowledged is on disk.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

// Ctrl-C and a service manager's stop reach the whole group; the server still has rows to hand over, and says when to end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

import type { TestProject } from 'vitest/node';
import build from '../harness/build.setup.js';
import { SdkApps } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { SHARED_APPS, type World } from './world.apps.js';

declare module 'vitest' {
  export interface ProvidedContext {
    world: World;
  }
}

/** One server and one process of apps for all stories that need nothing of their own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  build();
  // Checkpoints in quick succession: what a run was before its state went is asked for, too.
  const server = await Server.start({ env: { MILLRACE_CHECKPOINT_INTERVAL: '0.1' } });
  const processes = await Promise.all(SHARED_APPS.map((apps) => SdkApps.start(apps, { INNGEST_DEV: server.url })));
  const urls = processes.flatMap((process, at) => (SHARED_APPS[at] ?? []).map(({ id }) => [id, process.url] as const));
  for (const [at, apps] of SHARED_APPS.entries()) for (const { id } of apps) await processes[at]?.sync(id);
  project.provide('world', { serverUrl: server.url, appsUrls: Object.fromEntries(urls) as World['appsUrls'] });
  return async () => {
    for (const process of processes) await process[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  };
}

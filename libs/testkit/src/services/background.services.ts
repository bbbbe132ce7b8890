import { rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { allAnswer, launchAll, type ServiceUrls } from './all.services.js';
import type { ServiceHandle } from './service.process.js';
import { readState, removeState, writeState } from './state.file.js';
import { beginningOf, signal } from './system.process.js';

const STOP_MS_MAX = 30_000;

/** Starts the services in the background of this machine, unless they run. @returns where they are */
export async function up(): Promise<ServiceUrls> {
  const state = readState();
  if (state && (await allAnswer(state.urls))) return state.urls;
  await down();
  const { urls, processes } = await launchAll({ background: true });
  writeState({ urls, processes: processes.map(({ handle }) => handle) });
  return urls;
}

/** Ends the services that `up` has started, and removes their data. */
export async function down(): Promise<void> {
  await Promise.all((readState()?.processes ?? []).map(end));
  removeState();
}

/** @returns where the services are that run in the background and answer; undefined when there are none, or not all */
export async function status(): Promise<ServiceUrls | undefined> {
  const urls = readState()?.urls;
  return urls && (await allAnswer(urls)) ? urls : undefined;
}

async function end(handle: ServiceHandle): Promise<void> {
  const { pid, began, stopSignal, folder } = handle;
  // A number may have gone to another process since, which is none of ours.
  const isThere = (): boolean => beginningOf(pid) === began;
  const harderAt = Date.now() + STOP_MS_MAX;
  if (isThere()) signal(pid, stopSignal);
  while (isThere()) {
    if (Date.now() > harderAt) signal(pid, 'SIGKILL');
    await pause(25);
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

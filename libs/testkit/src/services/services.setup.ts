import type { TestProject } from 'vitest/node';
import { launchAll, type ServiceUrls } from './all.services.js';
import { status } from './background.services.js';
import './services.js'; // What it provides is declared there.

/** Takes the services that run in the background, or starts some that end with the tests. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { urls, end } = await findServices();
  project.provide('services', urls);
  return end;
}

export async function findServices(): Promise<{ readonly urls: ServiceUrls; readonly end: () => Promise<void> }> {
  const running = await status();
  return running ? { urls: running, end: () => Promise.resolve() } : launchAll();
}

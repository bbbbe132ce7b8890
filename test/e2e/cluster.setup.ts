import type { TestProject } from 'vitest/node';
import { findServices } from '../../libs/testkit/src/services/services.setup.js';
import { useServices } from '../harness/cluster.names.js';
import startWorld from './world.setup.js';

/** The same stories for clusters of processes, on services. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { urls, end } = await findServices();
  useServices(urls);
  const endWorld = await startWorld(project);
  return async () => {
    await endWorld();
    await end();
  };
}

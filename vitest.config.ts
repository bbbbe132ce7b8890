import swc from 'unplugin-swc';
import { configDefaults, defineConfig } from 'vitest/config';

/** They need real services, and have a project of their own. */
const SERVICES = '**/*.services.test.ts';

export default defineConfig({
  plugins: [swc.vite({ module: { type: 'es6' } })],
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'], externalConditions: ['source'] } },
  test: {
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['libs/**/*.test.ts', 'apps/**/*.test.ts'],
          exclude: [...configDefaults.exclude, SERVICES],
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: [...configDefaults.exclude, SERVICES],
          // One server and one process of apps for most stories: only built and started when one of these is to run.
          globalSetup: ['test/e2e/world.setup.ts'],
          // They mostly wait for servers and apps.
          maxWorkers: 2,
          sequence: { concurrent: true, groupOrder: 1 },
          maxConcurrency: 16,
        },
      },
      {
        extends: true,
        test: {
          name: 'system',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, SERVICES, 'test/e2e/**'],
          globalSetup: ['test/harness/build.setup.ts'],
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          // The stories of e2e for clusters of processes, on the services.
          name: 'cluster',
          include: ['test/e2e/**/*.test.ts'],
          exclude: [...configDefaults.exclude, SERVICES],
          globalSetup: ['test/e2e/cluster.setup.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          maxWorkers: 2,
          sequence: { concurrent: true, groupOrder: 4 },
          maxConcurrency: 16,
        },
      },
      {
        extends: true,
        test: {
          name: 'services',
          include: ['libs', 'apps', 'test'].map((folder) => `${folder}/${SERVICES}`),
          exclude: [...configDefaults.exclude, 'test/chaos/**'],
          // Starts the services, unless they run: only when one of these is to run.
          globalSetup: ['libs/testkit/src/services/services.setup.ts'],
          // Brokers that are killed and started again take their time.
          testTimeout: 180_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          // A cluster and services of its own, which it breaks.
          name: 'chaos',
          include: [`test/chaos/${SERVICES}`],
          hookTimeout: 180_000,
          sequence: { groupOrder: 5 },
        },
      },
    ],
  },
});

import swc from 'unplugin-swc';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [swc.vite({ module: { type: 'es6' } })],
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'], externalConditions: ['source'] } },
  test: {
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    projects: [
      { extends: true, test: { name: 'unit', include: ['libs/**/*.test.ts', 'apps/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
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
          exclude: ['test/e2e/**'],
          globalSetup: ['test/harness/build.setup.ts'],
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});

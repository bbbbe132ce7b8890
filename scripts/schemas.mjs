// Writes the schemas in schemas/ and docs/topics.md from their descriptions in libs/schemas:
//     node scripts/schemas.mjs [--release 1.2.3]
// With --release what stands is kept as that of a release, which every later version must be able to read, and be read by.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const at = process.argv.indexOf('--release');
const release = at < 0 ? {} : { SCHEMAS_RELEASE: process.argv[at + 1] ?? '' };
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'unit', 'libs/schemas'], {
  cwd: fileURLToPath(new URL('..', import.meta.url)),
  env: { ...process.env, SCHEMAS_WRITE: '1', ...release },
  stdio: 'inherit',
});
process.exit(status ?? 1);

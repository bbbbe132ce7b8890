import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { checkout, root } from './root.path.js';

/** What is tested is what is built: older builds are brought up to date first. */
export default function build(): void {
  if (root !== checkout) return;
  const { status } = spawnSync(process.execPath, [join(root, 'scripts/ensure.mjs')], { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error('the build failed');
}

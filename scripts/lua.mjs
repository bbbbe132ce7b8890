// After the build: what runs inside Redis lies in `dist` where it lies in the source, beside the module that reads it.
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
for (const file of readdirSync(join(root, 'libs'), { recursive: true })) {
  if (file.endsWith('.lua')) cpSync(join(root, 'libs', file), join(root, 'dist', 'libs', file));
}

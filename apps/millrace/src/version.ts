import { readFileSync } from 'node:fs';

/** The version in package.json: found upwards, for this file lies deeper once it is built. */
export const version = find();

function find(): string {
  for (const up of ['../../../', '../../../../']) {
    try {
      const { name, version: found } = JSON.parse(
        readFileSync(new URL(`${up}package.json`, import.meta.url), 'utf8'),
      ) as Record<string, string>;
      if (name === 'millrace' && found !== undefined) return found;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return 'unknown';
}

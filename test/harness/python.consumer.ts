import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { builtOnce, runProgram } from '#testkit/services/built.once.js';
import { checkout } from './root.path.js';

/** What the consumer says of a run. */
export interface ConsumerRow {
  readonly run_id: string;
  readonly status: string;
  readonly output: unknown;
}

const EXAMPLE = join(checkout, 'examples/python-consumer');
const PYTHON = process.env['PYTHON'] ?? 'python3';
const run = promisify(execFile);

/** The example of a consumer in Python, which knows only what is published. @returns what it prints, by run */
export async function toldByPython(...given: readonly string[]): Promise<readonly ConsumerRow[]> {
  const requirements = join(EXAMPLE, 'requirements.txt');
  const libraries = await builtOnce('python-consumer', [requirements], (folder) =>
    runProgram(PYTHON, ['-m', 'pip', 'install', '--quiet', '--target', folder, '-r', requirements]),
  );
  const { stdout } = await run(PYTHON, [join(EXAMPLE, 'consumer.py'), ...given], {
    env: { ...process.env, PYTHONPATH: libraries, PYTHONDONTWRITEBYTECODE: '1', PYTHONIOENCODING: 'utf-8' },
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as ConsumerRow);
}

import { run } from './cli/program.js';

// A reader that has seen enough (`millrace runs list | head`) is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}

const { stdout, stderr, env } = process;
process.exitCode = await run(process.argv.slice(2), {
  stdin: () => process.stdin,
  stdout,
  stderr,
  env,
  cwd: process.cwd(),
  now: () => Date.now(),
});

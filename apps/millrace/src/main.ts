import { run } from './cli/program.js';

const { stdout, stderr, env } = process;

// A reader that has seen enough (`millrace runs list | head`) is no failure.
for (const stream of [stdout, stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}

process.exitCode = await run(process.argv.slice(2), {
  stdin: () => process.stdin,
  stdout,
  stderr,
  env,
  cwd: process.cwd(),
  now: () => Date.now(),
});
// A command is over when what it wrote is out, whatever timer is still set.
stdout.write('', () => stderr.write('', () => process.exit()));

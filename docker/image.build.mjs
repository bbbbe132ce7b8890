// Takes the steps of a Dockerfile without a container engine: the file system of a stage is a folder, and absolute paths mean that folder.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
} from 'node:fs';
import { delimiter, join, relative, sep } from 'node:path';
import { dockerIgnore, fill, readDockerfile, readPairs } from './dockerfile.read.mjs';

/** Who is not root cannot give files away, nor run as somebody else: then everything is of one user. */
const asRoot = process.getuid?.() === 0;

/** A stage while it is built, and in the end the image. */
class Image {
  env = {};
  args = {};
  workdir = '/';
  user = '0:0';
  entrypoint = [];
  healthcheck = [];

  constructor(root) {
    this.root = root;
  }

  /** Where a path of the image lies on this machine. */
  place(path) {
    return path.startsWith('/') ? join(this.root, path) : join(this.root, this.workdir, path);
  }

  /** A text whose absolute paths are put below the root. */
  placeAll(text) {
    return text.replaceAll(/(^|[\s=:"'])\/(?=[a-z])/g, `$1${this.root}/`);
  }

  /** Starts a command as the image's user, with the image's environment and nothing else. */
  start(words, env = {}) {
    const [command, ...args] = words.map((word) => this.placeAll(word));
    const [uid, gid] = this.user.split(':').map(Number);
    return spawn(this.place(`/usr/local/bin/${command}`), args, {
      cwd: this.place('.'),
      env: { PATH: this.place('/usr/local/bin'), TMPDIR: this.place('/tmp'), ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(asRoot ? { uid, gid } : {}),
    });
  }

  /** Runs a command to its end. @returns its exit code, and all that it printed */
  async run(words, env) {
    const child = this.start(words, env);
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out += chunk));
    const [code] = await once(child, 'close');
    return { code, out };
  }
}

/**
 * @param {{ context: string, dockerfile: string, folder: string, buildArgs: Record<string, string> }} options the folder has to be there, and
 *   is filled
 * @returns the image of the last stage
 */
export function buildImage({ context, dockerfile, folder, buildArgs }) {
  const sent = dockerIgnore(readFileSync(join(context, '.dockerignore'), 'utf8'));
  const built = new Map();
  let last;
  for (const [index, { from, name = `${index}`, steps }] of readDockerfile(
    readFileSync(dockerfile, 'utf8'),
  ).entries()) {
    if (built.has(from)) throw new Error(`a stage that begins with another one is not read here: ${from}`);
    last = baseImage(join(folder, name));
    for (const { word, rest } of steps) {
      const take = STEPS[word];
      if (!take) throw new Error(`a step that is not read here: ${word} ${rest}`);
      take(last, rest, { context, sent, built, buildArgs });
    }
    built.set(name, last);
  }
  return last;
}

/** Stands for Node's image: this Node, and the usual folders. */
function baseImage(root) {
  const image = new Image(root);
  for (const path of ['/usr/local/bin', '/var/lib', '/tmp']) mkdirSync(image.place(path), { recursive: true });
  chmodSync(image.place('/tmp'), 0o1777);
  const node = image.place('/usr/local/bin/node');
  try {
    linkSync(process.execPath, node);
  } catch {
    copyFileSync(process.execPath, node); // It lies on another disk.
  }
  return image;
}

const STEPS = {
  WORKDIR: (image, rest) => {
    image.workdir = rest;
    mkdirSync(image.place('.'), { recursive: true });
  },
  ARG: (image, rest, { buildArgs }) => {
    Object.assign(image.args, readPairs(rest));
    for (const name of Object.keys(readPairs(rest))) image.args[name] = buildArgs[name] ?? image.args[name];
  },
  ENV: (image, rest) => {
    for (const [name, value] of Object.entries(readPairs(rest))) image.env[name] = image.placeAll(value);
  },
  COPY: copy,
  RUN: run,
  USER: (image, rest) => void (image.user = rest),
  ENTRYPOINT: (image, rest) => void (image.entrypoint = JSON.parse(rest)),
  HEALTHCHECK: (image, rest) => void (image.healthcheck = JSON.parse(rest.slice(rest.indexOf('CMD ') + 4))),
  CMD: () => undefined,
  LABEL: () => undefined,
  EXPOSE: () => undefined,
};

function copy(image, rest, { context, sent, built }) {
  const [, from] = /--from=(\S+)/.exec(rest) ?? [];
  const names = rest.split(/\s+/).filter((part) => !part.startsWith('--'));
  const to = names.pop();
  for (const name of names) {
    const filter = (path) => from !== undefined || sent(relative(context, path).split(sep).join('/'));
    const source = from === undefined ? join(context, name) : built.get(from).place(name);
    if (!filter(source)) throw new Error(`.dockerignore leaves out ${name}`);
    const target = image.place(to.endsWith('/') ? join(to, name) : to);
    cpSync(source, target, { recursive: true, verbatimSymlinks: true, filter });
  }
}

/** Whether all that the lock file names is installed in the checkout: building wants that, and it takes minutes. */
function installed(context) {
  const stamp = join(context, 'node_modules', '.millrace-lock');
  const lock = readFileSync(join(context, 'package-lock.json'));
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === createHash('sha256').update(lock).digest('hex');
}

function run(image, rest, { context }) {
  const command = fill(rest.replaceAll(/--mount=\S+ +/g, ''), image.args);
  console.log(`RUN ${command}`);
  if (/^npm ci\b/.test(command) && !command.includes('--omit') && installed(context)) {
    console.log('    stood for by the packages of this checkout, which are those of the lock file');
    symlinkSync(realpathSync(join(context, 'node_modules')), image.place('node_modules'));
    return;
  }
  const { status } = spawnSync('/bin/sh', ['-euc', (asRoot ? '' : 'chown() { :; }; ') + image.placeAll(command)], {
    cwd: image.place('.'),
    env: {
      ...process.env,
      ...image.env,
      PATH: [image.place('/usr/local/bin'), process.env.PATH].join(delimiter),
      npm_config_prefer_offline: 'true',
    },
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`failed: ${command}`);
}

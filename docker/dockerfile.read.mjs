// What a Dockerfile and a .dockerignore say, as far as ours go.

/**
 * @param {string} text
 * @returns {{ from: string, name?: string, steps: { word: string, rest: string }[] }[]} the stages, in order. ARGs before the first FROM are
 *   put into the FROM lines; a continued line is one step
 */
export function readDockerfile(text) {
  const lines = text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n');
  const globals = {};
  const stages = [];
  for (const line of lines) {
    const [, word, rest] = /^\s*([A-Z]+)\s+(.*\S)\s*$/.exec(line) ?? [];
    if (word === undefined) {
      if (line.trim() !== '') throw new Error(`not a step: ${line}`);
      continue;
    }
    if (word === 'FROM') {
      const [from, as, name] = fill(rest, globals).split(/\s+/);
      stages.push({ from, ...(as?.toUpperCase() === 'AS' ? { name } : {}), steps: [] });
    } else if (stages.length === 0) Object.assign(globals, readPairs(rest));
    else stages.at(-1).steps.push({ word, rest });
  }
  return stages;
}

/** `A=1 B="x y"` as an object. */
export function readPairs(text) {
  const pairs = text.matchAll(/([\w.]+)=("(?:[^"\\]|\\.)*"|\S*)/g);
  return Object.fromEntries([...pairs].map(([, name, value]) => [name, value.replace(/^"(.*)"$/, '$1')]));
}

/** Puts values for `${NAME}`. */
export function fill(text, values) {
  return text.replaceAll(/\$\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/** Whether a path, relative to the root with `/`, is sent to the builder: the last pattern that names it or a folder above it decides. */
export function dockerIgnore(text) {
  const patterns = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ takes: line.startsWith('!'), matches: patternOf(line.replace(/^!/, '')) }));
  return (path) => {
    const parts = path.split('/');
    const above = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
    return patterns.findLast(({ matches }) => above.some((each) => matches.test(each)))?.takes ?? true;
  };
}

function patternOf(glob) {
  const source = glob
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('**/', '\u0000')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]')
    .replaceAll('\u0000', '(?:.*/)?');
  return new RegExp(`^${source}$`);
}

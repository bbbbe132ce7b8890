import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ROLES } from '#platform/settings.rows.js';
import { checkout } from '../harness/root.path.js';
import { routes } from './routes.js';
import { openSettings, wrongVariables } from './settings.names.js';

interface ComposeService {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly deploy?: { readonly replicas?: number };
}

const { version } = readJson('package.json') as { readonly version: string };
const compose = parse(read('docker/compose.yaml'), { merge: true }) as {
  readonly services: Readonly<Record<string, ComposeService>>;
};
const millrace = Object.entries(compose.services).filter(([, { image }]) => image?.startsWith('millrace:'));

describe('the versions of what is deployed', () => {
  it('are that of the package', () => {
    const chart = parse(read('k8s/chart/Chart.yaml')) as Record<string, string>;
    expect(chart).toMatchObject({ version, appVersion: version });
    expect(read('docker/Dockerfile')).toContain(`image.version="${version}"`);
    expect(new Set(millrace.map(([, { image }]) => image))).toEqual(new Set([`millrace:${version}`]));
  });

  it('have a Node that Millrace takes', () => {
    expect(read('docker/Dockerfile')).toMatch(/^ARG NODE_IMAGE=node:24-slim$/m);
  });
});

describe('docker/compose.yaml', () => {
  it('has two of every role, and nothing of Millrace that is one', () => {
    expect(millrace.map(([name]) => name).sort()).toEqual([...ROLES].sort());
    for (const [name, { command, deploy }] of millrace) {
      expect({ command, replicas: deploy?.replicas }).toEqual({ command: ['start', '--roles', name], replicas: 2 });
    }
  });

  it('gives settings that there are', () => {
    for (const [, { environment }] of millrace) expect(wrongVariables(filled(environment ?? {}))).toEqual([]);
  });
});

describe('k8s/chart/values.schema.json', () => {
  it('takes the settings that there are, and no secrets', () => {
    const schema = readJson('k8s/chart/values.schema.json') as {
      readonly definitions: { readonly settings: { readonly propertyNames: { readonly enum: readonly string[] } } };
    };
    expect(schema.definitions.settings.propertyNames.enum).toEqual(openSettings);
  });
});

describe('docker/proxy.conf', () => {
  const map = /map \$uri \$role \{([^}]*)\}/.exec(read('docker/proxy.conf'))?.[1] ?? '';
  const rules = [...map.matchAll(/~(\S+)\s+(\S+);/g)].map(([, pattern = '', role]) => ({
    pattern: RegExp(pattern),
    role,
  }));

  it.each(routes)('sends $method $path to $role', ({ path, role }) => {
    expect(rules.find(({ pattern }) => pattern.test(path))?.role ?? 'api').toBe(role);
  });
});

function read(path: string): string {
  return readFileSync(join(checkout, path), 'utf8');
}

function readJson(path: string): unknown {
  return JSON.parse(read(path));
}

/** Variables with something in place of what people give. */
function filled(environment: Readonly<Record<string, string>>): Record<string, string> {
  const fill = (text: string) =>
    text.replaceAll(/\$\{[A-Z_]+(?::([?-])[^}]*)?\}/g, (_, kind) => (kind === '-' ? '' : 'abcd'));
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, fill(value)]));
}

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROLES } from '#platform/settings.rows.js';
import { checkout } from '../harness/root.path.js';
import { readCompose, readImage, renderChart, type Manifest, type Rendered } from './check.manifests.js';
import { routes } from './routes.js';
import { wrongVariables } from './settings.names.js';

const CHART = join(checkout, 'k8s/chart');
const EVERYTHING = {
  autoscaling: { kind: 'keda' },
  ingress: { enabled: true, className: 'nginx', tlsSecretName: 'tls', annotations: { a: 'b' } },
  networkPolicy: { enabled: true },
  podMonitor: { enabled: true, labels: { release: 'prometheus' } },
  kafkaCa: { secretName: 'kafka-ca' },
  imagePullSecrets: [{ name: 'registry' }],
  extraEnv: [{ name: 'OTEL_SERVICE_NAME', value: 'millrace' }],
  podAnnotations: { a: 'b' },
  nodeSelector: { pool: 'millrace' },
  tolerations: [{ key: 'pool', operator: 'Exists' }],
  settings: { 'event-body-bytes-max': 33554432, 'kafka-tls': true, 'log-level': 'debug' },
  roles: { executor: { settings: { 'queue-workers': 2000 } } },
};

interface Deployment {
  readonly replicas?: number;
  readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: Pod };
}
interface Pod {
  readonly enableServiceLinks: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly [Container];
}
interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly lifecycle?: unknown;
  readonly securityContext: unknown;
}
type Labels = Readonly<Record<string, string>>;
interface Selecting {
  readonly selector: { readonly matchLabels: Labels } | Labels;
}
interface Backend {
  readonly service: { readonly name: string };
}
interface IngressSpec {
  readonly rules: readonly [
    { readonly http: { readonly paths: readonly { readonly path: string; readonly backend: Backend }[] } },
  ];
}

describe('the chart', () => {
  let plain: Rendered;
  let everything: Rendered;
  let scratch: string;
  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'millrace-deploy-'));
    plain = await renderChart(CHART, {});
    everything = await renderChart(CHART, EVERYTHING);
    // A new machine compiles Kubernetes' own checks first.
  }, 1_200_000);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  it('is taken by Helm, by an API server and by its strictest standard for pods', async () => {
    const fixed = await renderChart(CHART, { autoscaling: { kind: 'none' } });
    for (const { problems, refused } of [plain, everything, fixed]) {
      expect({ problems, refused }).toEqual({ problems: [], refused: undefined });
    }
    expect(kinds(plain)).toEqual({
      ConfigMap: 1,
      Deployment: ROLES.length,
      HorizontalPodAutoscaler: ROLES.length,
      PodDisruptionBudget: ROLES.length,
      Service: 2,
      ServiceAccount: 1,
    });
    expect(kinds(everything)).toMatchObject({
      Ingress: 1,
      NetworkPolicy: 2,
      PodMonitor: 1,
      ScaledObject: ROLES.length,
    });
  });

  it.each([
    [
      'a field that there is not',
      'deployments.yaml',
      'readinessProbe:',
      'readynessProbe:',
      /unknown field.*readynessProbe/,
    ],
    [
      'a value that is out of bounds',
      'deployments.yaml',
      'failureThreshold: 60',
      'failureThreshold: -60',
      /failureThreshold/,
    ],
    ['a reference that is none', 'ingress.yaml', 'pathType: Prefix', 'pathType: Start', /pathType/],
    ['a pod that may be root', 'deployments.yaml', 'runAsNonRoot: true', 'runAsNonRoot: false', /runAsNonRoot/],
    ['a budget of nothing', 'disruptionbudgets.yaml', 'maxUnavailable: 1', 'maxUnavailable: -1', /maxUnavailable/],
    ['an autoscaler without a target', 'autoscalers.yaml', 'averageUtilization:', 'averageUse:', /averageUse/],
  ])('would not be taken with %s', async (_, template, right, wrong, said) => {
    const broken = mkdtempSync(join(scratch, 'chart-'));
    cpSync(CHART, broken, { recursive: true });
    const path = join(broken, 'templates', template);
    writeFileSync(path, readFileSync(path, 'utf8').replace(right, wrong));
    const { problems } = await renderChart(broken, { ingress: { enabled: true } });
    expect(problems.join('\n')).toMatch(said);
  });

  it.each([
    ['one process of a role', { roles: { runner: { replicas: 1 } } }],
    ['an autoscaler that may go down to one', { roles: { api: { autoscaling: { minReplicas: 1 } } } }],
    ['a setting that there is not', { settings: { 'log-levle': 'info' } }],
    ['a secret in the open', { settings: { 'redis-url': 'redis://:secret@redis' } }],
    ['a role that there is not', { roles: { scheduler: { replicas: 2 } } }],
    ['no time to drain', { terminationGracePeriodSeconds: 5 }],
  ])('refuses %s', async (_, values) => {
    expect((await renderChart(CHART, values)).refused).toBeDefined();
  });

  it.each(ROLES)('runs two of %s or more, of which one at most is taken down', async (role) => {
    const fixed = await renderChart(CHART, { autoscaling: { kind: 'none' } });
    expect(deployment(fixed, role).replicas).toBe(2);
    // An autoscaler that has to share with `replicas` loses its work at each upgrade.
    expect(deployment(plain, role).replicas).toBeUndefined();
    expect(specOf(plain, 'HorizontalPodAutoscaler', role)).toMatchObject({
      scaleTargetRef: { kind: 'Deployment', name: `millrace-${role}` },
      minReplicas: 2,
    });
    expect(specOf(everything, 'ScaledObject', role)).toMatchObject({
      scaleTargetRef: { kind: 'Deployment', name: `millrace-${role}` },
      minReplicaCount: 2,
    });
    const budget = specOf(plain, 'PodDisruptionBudget', role) as Selecting;
    expect(budget).toMatchObject({ maxUnavailable: 1 });
    expect(deployment(plain, role).template.metadata.labels).toMatchObject(selected(budget));
  });

  it.each(ROLES)('probes %s, and lets it end in order', (role) => {
    const { enableServiceLinks, terminationGracePeriodSeconds, containers } = deployment(plain, role).template.spec;
    const [container] = containers;
    const probe = (path: string) => ({ httpGet: { path, port: 'http' } });
    expect(container).toMatchObject({
      args: ['start', '--roles', role],
      startupProbe: probe('/health/live'),
      livenessProbe: probe('/health/live'),
      readinessProbe: probe('/health/ready'),
      securityContext: { readOnlyRootFilesystem: true },
    });
    // Variables that Kubernetes makes of Services would be read as settings.
    expect(enableServiceLinks).toBe(false);
    expect(terminationGracePeriodSeconds).toBeGreaterThan(30);
    expect(container.lifecycle !== undefined).toBe(role === 'event-api' || role === 'api');
  });

  it('scales by lag and backlog, by the names that processes tell them by', () => {
    const metrics = readFileSync(join(checkout, 'docs/observability.md'), 'utf8');
    const by: Partial<Record<string, string>> = {
      runner: 'millrace_partition_lag_records',
      projector: 'millrace_partition_lag_records',
      executor: 'millrace_queue_items',
    };
    const adapter = readFileSync(join(checkout, 'k8s/prometheus-adapter.values.yaml'), 'utf8');
    for (const role of ROLES) {
      const hpa = JSON.stringify(specOf(plain, 'HorizontalPodAutoscaler', role));
      const scaled = JSON.stringify(specOf(everything, 'ScaledObject', role));
      const metric = by[role];
      expect(hpa.includes('External')).toBe(metric !== undefined);
      expect(scaled.includes('prometheus')).toBe(metric !== undefined);
      if (metric === undefined) continue;
      for (const text of [hpa, scaled, adapter, metrics]) expect(text).toContain(metric);
    }
  });

  it('gives settings that there are, where the process finds them', () => {
    for (const rendered of [plain, everything]) {
      const map = rendered.manifests.find(({ kind }) => kind === 'ConfigMap')?.data ?? {};
      expect(wrongVariables(map)).toEqual([]);
      for (const role of ROLES) {
        const [{ env = [], ports }] = deployment(rendered, role).template.spec.containers;
        const own = env
          .filter(({ name }) => !name.startsWith('OTEL_'))
          .map(({ name, value }) => [name, value] as const);
        expect(wrongVariables(Object.fromEntries(own))).toEqual([]);
        expect(ports).toEqual([{ name: 'http', containerPort: Number(map['MILLRACE_PORT']) }]);
      }
    }
    expect(deployment(everything, 'executor').template.spec.containers[0].env).toContainEqual({
      name: 'MILLRACE_QUEUE_WORKERS',
      value: '2000',
    });
  });

  it.each(['event-api', 'api'] as const)('has a Service that finds the pods of %s', (role) => {
    const service = specOf(plain, 'Service', role) as Selecting & { readonly ports: unknown };
    expect(service.ports).toEqual([{ name: 'http', port: 80, targetPort: 'http' }]);
    for (const other of ROLES) {
      const { labels } = deployment(plain, other).template.metadata;
      const finds = Object.entries(selected(service)).every(([name, value]) => labels[name] === value);
      expect(finds).toBe(other === role);
    }
  });

  it.each(routes)('sends $method $path to $role', ({ path, role }) => {
    const { rules } = everything.manifests.find(({ kind }) => kind === 'Ingress')?.spec as IngressSpec;
    // The longest path wins, and a path means whole names.
    const [match] = [...rules[0].http.paths]
      .filter((one) => `${path}/`.startsWith(one.path === '/' ? '/' : `${one.path}/`))
      .sort((one, other) => other.path.length - one.path.length);
    expect(match?.backend.service.name).toBe(`millrace-${role}`);
  });
});

describe('compose', () => {
  const files = ['compose.yaml', 'compose.brokers.yaml'].map((name) => join(checkout, 'docker', name));
  const env = { INNGEST_EVENT_KEY: 'a', INNGEST_SIGNING_KEY: 'b', SERVICES_PASSWORD: 'c' };
  const services = (names: readonly string[], service: object) =>
    Object.fromEntries(names.map((name) => [name, service]));

  it('takes the files, alone and with three brokers', async () => {
    const running = { read_only: true, restart: 'unless-stopped', stop_grace_period: '45s' };
    expect(await readCompose(files.slice(0, 1), [], env)).toMatchObject({ services: services(ROLES, running) });
    expect(await readCompose(files, ['schemas'], env)).toMatchObject({
      services: services(['kafka', 'kafka-2', 'kafka-3', 'schema-registry', ...ROLES], { restart: 'unless-stopped' }),
    });
  });

  it('asks for what it has not got', async () => {
    expect(await readCompose(files.slice(0, 1), [], { ...env, SERVICES_PASSWORD: '' })).toMatchObject({
      refused: expect.stringContaining('SERVICES_PASSWORD') as unknown,
    });
  });
});

describe('the Dockerfile', () => {
  it('is what BuildKit reads, without a warning', async () => {
    expect(await readImage(join(checkout, 'docker/Dockerfile'))).toMatchObject({
      stages: [{ name: 'dependencies' }, { name: 'build' }, {}],
      warnings: [],
    });
  });
});

function kinds({ manifests }: Rendered): Record<string, number> {
  return manifests.reduce<Record<string, number>>(
    (counts, { kind }) => ({ ...counts, [kind]: (counts[kind] ?? 0) + 1 }),
    {},
  );
}

function specOf({ manifests }: Rendered, kind: string, role: string): unknown {
  const found = manifests.find((one: Manifest) => one.kind === kind && one.metadata.name === `millrace-${role}`);
  expect(found?.metadata.labels).toMatchObject({ 'app.kubernetes.io/component': role });
  return found?.spec;
}

function deployment(rendered: Rendered, role: string): Deployment {
  return specOf(rendered, 'Deployment', role) as Deployment;
}

/** What a selector asks for: a Service has it plain. */
function selected({ selector }: Selecting): Labels {
  return 'matchLabels' in selector && typeof selector.matchLabels === 'object'
    ? selector.matchLabels
    : (selector as Labels);
}

import type { AppSpec, Variant } from '../harness/sdk-app.process.js';

/** Where the shared server and the shared apps are. */
export interface World {
  readonly serverUrl: string;
  /** By variant. */
  readonly appsUrls: Readonly<Record<Variant, string>>;
}

/** The variants that a story is told for. */
export const VARIANTS: readonly Variant[] = ['v4', 'v4-plain', 'v3'];

const FUNCTIONS = ['steps', 'waits', 'parallel', 'errors', 'ends', 'limits', 'flow'].map(
  (name) => `test/e2e/functions/${name}.mjs`,
);

/** By process: a process holds one SDK. Each variant has an app with its name, and one that streams its answers. */
export const SHARED_APPS: readonly (readonly AppSpec[])[] = [['v4', 'v4-plain'] as const, ['v3'] as const].map(
  (variants) =>
    variants.flatMap((variant): AppSpec[] => [
      { id: variant, variant, functions: FUNCTIONS },
      {
        id: `${variant}-stream`,
        variant,
        functions: FUNCTIONS,
        serve: { streaming: variant === 'v3' ? 'force' : true },
      },
    ]),
);

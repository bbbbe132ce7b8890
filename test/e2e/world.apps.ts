import type { AppSpec, Variant } from '../harness/sdk-app.process.js';

/** Where the shared server and the shared apps are. */
export interface World {
  readonly serverUrl: string;
  /** By variant. */
  readonly appsUrls: Readonly<Record<Variant, string>>;
}

/** The variants that a story is told for. */
export const VARIANTS: readonly Variant[] = ['v4', 'v4-plain', 'v3'];

const FUNCTIONS = ['steps', 'waits', 'parallel', 'errors', 'ends'].map((name) => `test/e2e/functions/${name}.mjs`);

/** Each variant once, with all functions; the app's id is the variant's name. By process: a process holds one SDK. */
export const SHARED_APPS: readonly (readonly AppSpec[])[] = [['v4', 'v4-plain'] as const, ['v3'] as const].map(
  (variants) => variants.map((variant) => ({ id: variant, variant, functions: FUNCTIONS })),
);

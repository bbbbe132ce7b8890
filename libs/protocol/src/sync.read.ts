import { createHash } from 'node:crypto';
import { Fault } from '#core/faults.js';
import { compact, FieldReader } from '#core/fields.read.js';
import { normalUrl } from '#core/function/app.url.js';
import type { AppVersion, FunctionConfig } from '#core/function/function.config.js';
import { checkExpression } from '#core/function/function.expressions.js';
import { readFunctions } from '#core/function/function.read.js';
import { canonical } from '#core/json.js';
import { isObject } from './json.read.js';

/** What an app says of itself when it registers. */
export interface AppDeclaration {
  readonly appName: string;
  readonly url: string;
  readonly method: AppVersion['method'];
  /** `js:v4.24.0`, `py:v0.5.18`, `go:v0.16.0`, `inngest-kt:0.2.2`. */
  readonly sdk: string;
  readonly framework: string;
  readonly appVersion?: string;
  /** Of all the above and below: equal where a sync would change nothing. */
  readonly checksum: string;
  readonly functions: readonly FunctionConfig[];
}

const MISTAKES_SHOWN = 20;

/** TypeScript SDKs with a known fault, from and to: semantics 24.2. */
const DENIED_FROM = [3, 22, 0];
const DENIED_TO = [3, 53, 1];

/**
 * Reads what an app registers. http.md sections 6 and 7, semantics 24.2.
 *     POST /fn/register    { url, appName, sdk, framework?, appVersion?, functions, ... }      `appname` in Python
 *     in-band answer       { url, app_id, sdk?, sdk_language, sdk_version, framework?, appVersion?, functions, ... }      no `sdk` in Go
 * Other fields do not matter. A function list that is null or absent is empty, which takes every function away.
 * @param fallbackUrl where the app was asked, for a payload without a URL; an app that is not SERVE needs none
 * @throws request_invalid, app_id_missing, sdk_version_denied, app_invalid with every mistake in `data.errors`
 */
export function readSync(payload: unknown, method: AppVersion['method'], fallbackUrl?: string): AppDeclaration {
  if (!isObject(payload)) throw malformed(['the body must be an object']);
  const mistakes: string[] = [];
  const reader = new FieldReader(payload, '', mistakes);
  const appName = reader.text('appName') ?? reader.text('app_id');
  const sdk = reader.text('sdk') ?? sdkOf(reader);
  const framework = reader.text('framework') ?? '';
  const appVersion = reader.text('appVersion');
  const url = readUrl(reader, method, fallbackUrl);
  if (mistakes.length > 0) throw malformed(mistakes);
  if (appName === undefined || appName.trim() === '') throw new Fault('app_id_missing');
  if (isDenied(sdk)) throw new Fault('sdk_version_denied', { sdk });
  const functions = readAll(reader.raw('functions'));
  const said = compact<Omit<AppDeclaration, 'checksum'>>({
    appName,
    url,
    method,
    sdk,
    framework,
    appVersion,
    functions,
  });
  return { ...said, checksum: checksumOf(said) };
}

function readAll(value: unknown): readonly FunctionConfig[] {
  const { functions, mistakes } = readFunctions(value, checkExpression);
  if (functions) return functions;
  const shown = mistakes.slice(0, MISTAKES_SHOWN).join('; ');
  const more = mistakes.length > MISTAKES_SHOWN ? `; and ${mistakes.length - MISTAKES_SHOWN} more` : '';
  throw new Fault(
    'app_invalid',
    { errors: mistakes },
    { message: `At least one function is invalid: ${shown}${more}` },
  );
}

function readUrl(reader: FieldReader, method: AppVersion['method'], fallbackUrl: string | undefined): string {
  const text = reader.text('url') ?? fallbackUrl;
  if (text === undefined && method !== 'SERVE') return '';
  const url = normalUrl(text ?? '', method === 'SERVE' ? ['http', 'https'] : ['http', 'https', 'ws', 'wss']);
  if (url === undefined) reader.note('url', 'must be an absolute URL of http or https');
  return url ?? '';
}

function sdkOf(reader: FieldReader): string {
  const language = reader.text('sdk_language');
  const version = reader.text('sdk_version');
  if (language === undefined) return '';
  return version === undefined ? language : `${language}:v${version.replace(/^v/, '')}`;
}

function isDenied(sdk: string): boolean {
  const version = /^js:v?(\d+)\.(\d+)\.(\d+)/.exec(sdk)?.slice(1).map(Number);
  return version !== undefined && compare(version, DENIED_FROM) >= 0 && compare(version, DENIED_TO) <= 0;
}

function compare(a: readonly number[], b: readonly number[]): number {
  const place = a.findIndex((part, i) => part !== b[i]);
  return place < 0 ? 0 : (a[place] ?? 0) - (b[place] ?? 0);
}

/** The order of the functions does not count: an SDK may keep them in a map. */
function checksumOf(said: Omit<AppDeclaration, 'checksum'>): string {
  const functions = said.functions.map((fn) => canonical(fn)).sort();
  return createHash('sha256')
    .update(canonical({ ...said, functions }))
    .digest('hex');
}

function malformed(mistakes: readonly string[]): Fault {
  return new Fault('request_invalid', { errors: mistakes }, { message: `Invalid request: ${mistakes.join('; ')}` });
}

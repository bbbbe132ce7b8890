import { HEADER, isFromSdk } from './headers.js';
import { fieldsOf, isObject, parseJson, textOf, type Fields } from './json.read.js';

/**
 * What an app says of itself on GET of its serve URL. http.md section 4. All parts optional; shapes differ by SDK and by whether the request was
 * signed, so everything is read leniently.
 *     {"schema_version":"2024-05-24","authentication_succeeded":null|false|true,"function_count":26,"has_event_key":false,
 *      "has_signing_key":false,"has_signing_key_fallback":false,"mode":"dev"|"cloud","extra":{...}}
 *     with a good signature also: app_id, env, framework, sdk_language, sdk_version, capabilities, signing_key_hash, event_key_hash, ...
 */
export interface Introspection {
  readonly mode?: 'dev' | 'cloud';
  readonly functionCount?: number;
  readonly hasEventKey?: boolean;
  readonly hasSigningKey?: boolean;
  /** Undefined: the request was not signed, or the SDK does not say. */
  readonly authenticated?: boolean;
  readonly appId?: string;
  readonly env?: string;
  readonly framework?: string;
  /** `js`, `py`, `go`, `java`. */
  readonly sdkLanguage?: string;
  readonly sdkVersion?: string;
  /** 12 hex digits in TypeScript, 64 in Python, prefix and 64 in Go and Kotlin. */
  readonly signingKeyHash?: string;
  /** `trust_probe`, `connect`, `in_band_sync`: the version of each that the app has. */
  readonly capabilities: Readonly<Record<string, string>>;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Whether an Inngest app lives where this answer to a GET came from. A 401 counts, when it has an SDK's header: TypeScript and Go in cloud
 * mode say no more to who does not sign.
 */
export function isApp({ headers, body }: Answer): boolean {
  if (isFromSdk(headers)) return true;
  const fields = fieldsOf(parseJson(body));
  return typeof fields.function_count === 'number' && ('schema_version' in fields || 'has_signing_key' in fields);
}

/** @returns undefined when the answer says nothing: no app, an app that wants a signature, not JSON */
export function readIntrospection(answer: Answer): Introspection | undefined {
  const body = parseJson(answer.body);
  if (answer.status !== 200 || !isObject(body) || !isApp(answer)) return undefined;
  const { mode, function_count: functionCount } = body;
  return {
    ...(mode === 'dev' || mode === 'cloud' ? { mode } : {}),
    ...(typeof functionCount === 'number' && functionCount >= 0 ? { functionCount } : {}),
    ...flag(body, 'has_event_key', 'hasEventKey'),
    ...flag(body, 'has_signing_key', 'hasSigningKey'),
    ...flag(body, 'authentication_succeeded', 'authenticated'),
    ...text(body, 'app_id', 'appId'),
    ...text(body, 'env', 'env'),
    ...text(body, 'framework', 'framework'),
    ...text(body, 'sdk_language', 'sdkLanguage'),
    ...text(body, 'sdk_version', 'sdkVersion'),
    ...text(body, 'signing_key_hash', 'signingKeyHash'),
    capabilities: Object.fromEntries(
      Object.entries(fieldsOf(body.capabilities)).filter(
        (entry): entry is [string, string] => typeof entry[1] === 'string',
      ),
    ),
  };
}

function flag<K extends string>(fields: Fields, name: string, as: K): Partial<Record<K, boolean>> {
  return typeof fields[name] === 'boolean' ? ({ [as]: fields[name] } as Record<K, boolean>) : {};
}

function text<K extends string>(fields: Fields, name: string, as: K): Partial<Record<K, string>> {
  const value = textOf(fields[name]);
  return value === undefined ? {} : ({ [as]: value } as Record<K, string>);
}

/** The SDK that an answer names, as registrations spell it: `js:v4.24.0` of `inngest-js:v4.24.0`. */
export function sdkOf(headers: Readonly<Record<string, string>>): string | undefined {
  return textOf(headers[HEADER.sdk])?.replace(/^inngest-(?=(?:js|py):)/, '');
}

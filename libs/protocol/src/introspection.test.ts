import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isApp, readIntrospection, sdkOf } from './introspection.js';

const unsigned = {
  schema_version: '2024-05-24',
  authentication_succeeded: null,
  function_count: 26,
  has_event_key: false,
  has_signing_key: false,
  has_signing_key_fallback: false,
  mode: 'dev',
  extra: { native_crypto: true },
};
const answer = (body: unknown, headers: Record<string, string> = {}, status = 200) => ({
  status,
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

it('reads what an app says to anybody', () => {
  expect(readIntrospection(answer(unsigned, { 'x-inngest-sdk': 'inngest-js:v4.24.0' }))).toEqual({
    mode: 'dev',
    functionCount: 26,
    hasEventKey: false,
    hasSigningKey: false,
    capabilities: {},
  });
});

it('reads what an app says to who signs', () => {
  const signed = {
    ...unsigned,
    authentication_succeeded: true,
    app_id: 'app4',
    env: null,
    framework: 'nodejs',
    sdk_language: 'js',
    sdk_version: '4.24.0',
    signing_key_hash: '0123456789ab',
    capabilities: { trust_probe: 'v1', connect: 'v1', odd: 1 },
  };
  expect(readIntrospection(answer(signed, { 'x-inngest-sdk-handled': 'true' }))).toMatchObject({
    authenticated: true,
    appId: 'app4',
    framework: 'nodejs',
    sdkLanguage: 'js',
    signingKeyHash: '0123456789ab',
    capabilities: { trust_probe: 'v1', connect: 'v1' },
  });
});

it('finds an app behind a refusal, and none behind a proxy', () => {
  const refused = answer({ message: 'Unauthorized' }, { 'x-inngest-sdk-handled': 'true' }, 401);
  expect(isApp(refused)).toBe(true);
  expect(readIntrospection(refused)).toBeUndefined();
  expect(isApp(answer(unsigned))).toBe(true);
  expect(isApp(answer('<html>', {}, 404))).toBe(false);
  expect(isApp(answer({ function_count: 'many' }))).toBe(false);
  expect(isApp(answer({ ok: true }, { 'x-inngest-sdk-handled': 'no' }))).toBe(false);
  expect(readIntrospection(answer({ ok: true }))).toBeUndefined();
});

it('stumbles over nothing', () => {
  const body = fc.oneof(
    fc.json(),
    fc.string(),
    fc.dictionary(fc.constantFrom(...Object.keys(unsigned)), fc.jsonValue()),
  );
  fc.assert(
    fc.property(body, (said) => {
      readIntrospection(answer(said, { 'x-inngest-sdk': 'py:1' }));
    }),
  );
});

it('names the SDK as registrations do', () => {
  expect(sdkOf({ 'x-inngest-sdk': 'inngest-js:v4.24.0' })).toBe('js:v4.24.0');
  expect(sdkOf({ 'x-inngest-sdk': 'inngest-py:v0.5.18' })).toBe('py:v0.5.18');
  expect(sdkOf({ 'x-inngest-sdk': 'inngest-kt:0.2.2' })).toBe('inngest-kt:0.2.2');
  expect(sdkOf({ 'x-inngest-sdk': 'go:v0.16.0' })).toBe('go:v0.16.0');
  expect(sdkOf({})).toBeUndefined();
});

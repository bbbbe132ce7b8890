import { expect, it } from 'vitest';
import { redirectCall, redirectFetch, type Hop } from './redirect.js';

const hop: Hop = {
  method: 'POST',
  url: new URL('http://app.test/api?fnId=f&stepId=s'),
  headers: { authorization: 'hush', accept: '*/*' },
  body: '{}',
};
const to = (location: string, from = hop) => redirectCall(from, location).url.href;

it('lets a call rise to https, and stay where it is', () => {
  expect(to('https://app.test/api?fnId=f&stepId=s')).toBe('https://app.test/api?fnId=f&stepId=s');
  expect(to('https://app.test:8443/')).toBe('https://app.test:8443/?fnId=f&stepId=s');
  expect(to('/api/#top')).toBe('http://app.test/api/?fnId=f&stepId=s');
  expect(to('?a=1')).toBe('http://app.test/api?a=1&fnId=f&stepId=s');
  expect(redirectCall(hop, '/x')).toMatchObject({ method: 'POST', body: '{}', headers: hop.headers });
});

it('lets it go nowhere else', () => {
  const secure = { ...hop, url: new URL('https://app.test/api') };
  for (const location of [
    'http://www.app.test/',
    'http://app.test:81/',
    'http://app.test.evil/',
    '//evil.test/',
    'https://evil.test/',
    'https://app.test.evil/',
    'ftp://app.test/',
  ]) {
    expect(() => to(location)).toThrow(expect.objectContaining({ code: 'redirect_refused' }));
  }
  expect(() => to('http://app.test/api', secure)).toThrow('redirects to another server, http://app.test');
  expect(() => to('https://app.test:444/', secure)).toThrow();
});

it('gives nothing personal to another server, also over another port or scheme', () => {
  for (const location of ['https://app.test/', 'http://app.test:81/', 'http://other.test/']) {
    expect(redirectFetch(hop, 307, location).headers).toEqual({ accept: '*/*' });
  }
  expect(redirectFetch(hop, 307, '/there').headers).toEqual(hop.headers);
});

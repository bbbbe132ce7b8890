import { describe, expect, it } from 'vitest';
import { normalUrl } from './app.url.js';

const WEB = ['http', 'https'];

describe('the URL of an app', () => {
  it.each([
    ['http://localhost:3000/api/inngest', 'http://localhost:3000/api/inngest'],
    ['http://127.0.0.1:3000/api/inngest', 'http://localhost:3000/api/inngest'],
    ['http://0.0.0.0:3000/api/inngest', 'http://localhost:3000/api/inngest'],
    ['http://127.0.0.1/api/inngest', 'http://127.0.0.1/api/inngest'],
    ['http://127.0.0.1:80/api/inngest', 'http://127.0.0.1/api/inngest'],
    ['https://app.example:443/x', 'https://app.example/x'],
    ['https://app.example:8443/x', 'https://app.example:8443/x'],
    ['HTTPS://App.Example/X', 'https://app.example/X'],
    ['https://app.example', 'https://app.example/'],
    ['https://app.example/x?fnId=a-b&stepId=step', 'https://app.example/x?fnId=a-b&stepId=step'],
    ['https://app.example/x?a=1&deployId=d1&b=2', 'https://app.example/x?a=1&b=2'],
    ['https://app.example/x?deployId=d1', 'https://app.example/x'],
    ['https://app.example/x?probe=trust', 'https://app.example/x'],
    ['https://app.example/x?q=a%20b', 'https://app.example/x?q=a%20b'],
    ['https://app.example/x#part', 'https://app.example/x'],
  ])('%s becomes %s, and stays it', (text, url) => {
    expect(normalUrl(text, WEB)).toBe(url);
    expect(normalUrl(url, WEB)).toBe(url);
  });

  it.each([
    '',
    'api/inngest',
    '/api/inngest',
    'localhost:3000/x',
    'ftp://x/y',
    'file:///x',
    'javascript:x',
    'ws://x/y',
    'http://',
  ])('%j is none', (text) => expect(normalUrl(text, WEB)).toBeUndefined());

  it('is of other schemes where these are given', () =>
    expect(normalUrl('wss://connect?fnId=a&stepId=step', ['wss'])).toBe('wss://connect/?fnId=a&stepId=step'));
});

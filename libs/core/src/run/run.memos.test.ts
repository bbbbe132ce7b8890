import { expect, it } from 'vitest';
import { canonical } from '../json.js';
import { invokeTimedOut } from './run.faults.js';
import {
  dataMemo,
  faultMemo,
  fetchFault,
  fetchMemo,
  inferFault,
  inputMemo,
  invokeFailed,
  invokeRefused,
  invokeUnknown,
  signalConflict,
  signalMemo,
} from './run.memos.js';

/** A memo as SDKs get it, once it is seen to be canonical. */
function read(memo: string): unknown {
  const value: unknown = JSON.parse(memo);
  expect(memo).toBe(canonical(value));
  return value;
}

it('wraps what a step gave in one key', () => {
  expect(read(dataMemo('null'))).toEqual({ data: null });
  expect(read(inputMemo('[1,{"a":2}]'))).toEqual({ input: [1, { a: 2 }] });
  expect(read(signalMemo('sig "1"', '{"hi":1}'))).toEqual({ data: { signal: 'sig "1"', data: { hi: 1 } } });
});

it('keeps what step.fetch got, header names as Go writes them', () => {
  const memo = fetchMemo({
    status: 404,
    headers: { 'content-type': 'text/plain', etag: '1', 'x-a-b': 'c' },
    body: 'no "é"',
    url: 'http://x/y',
  });
  expect(read(memo)).toEqual({
    data: {
      body: 'no "é"',
      headers: { 'Content-Type': 'text/plain', Etag: '1', 'X-A-B': 'c' },
      status_code: 404,
      url: 'http://x/y',
    },
  });
});

it('says why a call of the server failed', () => {
  expect(read(faultMemo(fetchFault('connection refused')))).toEqual({
    error: { data: null, name: 'GatewayError', message: 'Error making gateway request: connection refused' },
  });
  expect(
    read(faultMemo(inferFault('unsuccessful status code: 500', { data: '{"error":1}', text: '{"error": 1}' }))),
  ).toEqual({
    error: {
      name: 'AIGatewayError',
      message: 'Error making AI request: unsuccessful status code: 500',
      data: { error: 1 },
      stack: '{"error": 1}',
    },
  });
  expect(read(inferFault('no answer').json)).toEqual({
    name: 'AIGatewayError',
    message: 'Error making AI request: no answer',
    data: null,
  });
});

it('says what became of an invoked function', () => {
  expect(read(faultMemo(invokeUnknown('x-y')))).toEqual({
    error: { data: null, name: 'Error', message: 'could not find function with ID: x-y' },
  });
  expect(invokeRefused('it was rate limited').message).toBe('The invoked function did not run: it was rate limited');
  const thrown = {
    name: 'TypeError',
    message: 'kaput',
    json: '{"data":null,"message":"kaput","name":"TypeError","stack":"at x"}',
  };
  expect(read(faultMemo(invokeFailed(thrown, 'NonRetriableError')))).toEqual({
    error: { data: null, error: 'NonRetriableError', message: 'kaput', name: 'TypeError', stack: 'at x' },
  });
  expect(invokeFailed(invokeTimedOut, 'any').json).toBe(invokeTimedOut.json);
  expect(read(signalConflict.json)).toMatchObject({
    message: 'Signal conflict; signal wait already exists for another run',
  });
});

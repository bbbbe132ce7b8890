import { randomUUID } from 'node:crypto';
import { describe, expect, inject, it } from 'vitest';
import { Api } from '../harness/api.client.js';
import { done, RawApp } from '../harness/raw-app.js';
import { until } from '../harness/until.js';
import { stageOf } from './world.js';

const api = new Api(inject('world').serverUrl);
const MB = 1024 * 1024;
const ULID = /^[0-9A-HJKMNP-TV-Z]{26}$/;

describe('what the event API takes', () => {
  it('answers with the internal ids, in order, not with those of the sender', async () => {
    const name = randomUUID();
    const { status, body, headers } = await api.send([
      { name, id: 'mine', data: { n: 1 } },
      { name },
      { name, data: { n: 3 } },
    ]);
    expect(status).toBe(200);
    expect(body).toEqual({
      ids: [expect.stringMatching(ULID), expect.stringMatching(ULID), expect.stringMatching(ULID)],
      status: 200,
    });
    expect(headers.get('x-inngest-server-kind')).toBe('dev');
    expect([...body.ids].sort()).toEqual(body.ids);
    const listed = await until(
      async () => {
        const events = await api.events(`name=${name}`);
        return events.length === 3 ? events : undefined;
      },
      { what: 'the events to be listed' },
    );
    expect(listed.map(({ internal_id: id }) => id)).toEqual([...body.ids].reverse());
    expect(listed.map(({ id }) => id)).toEqual([body.ids[2], body.ids[1], 'mine']);
  });

  it.each([
    ['nothing', ''],
    ['an empty list', '[]'],
    ['an empty list with spaces', ' [ ] \n'],
  ])('takes %s, and stores nothing', async (_, body) => {
    expect(await api.send(body)).toMatchObject({ status: 200, body: { ids: [], status: 200 } });
  });

  it.each([
    ['a content type of text', { 'content-type': 'text/plain' }],
    ['no known content type', { 'content-type': 'application/x-nonsense; charset=latin1' }],
  ])('takes %s', async (_, headers) => {
    expect((await api.send({ name: 'x' }, headers)).status).toBe(200);
  });

  const seen = async (event: string) => {
    const { status, body } = await api.send(event);
    expect(status).toBe(200);
    const [id = ''] = body.ids;
    return until(
      async () => {
        const { status: found, body: view } = await api.request<{ data: Record<string, unknown> }>(
          'GET',
          `/v1/events/${id}`,
        );
        return found === 200 ? view.data : undefined;
      },
      { what: `event ${id}` },
    );
  };

  it('makes an event complete: data, user, id, time', async () => {
    const before = Date.now();
    const event = await seen('{"name":"bare","data":null,"ts":0,"ignored":1}');
    expect(event).toMatchObject({ name: 'bare', data: {}, user: {}, id: event['internal_id'] });
    expect(event).not.toHaveProperty('ignored');
    expect(event['ts']).toBeGreaterThanOrEqual(before - 1_000);
  });

  it('gives functions data and user as objects, always', async () => {
    const stage = stageOf('v4');
    const id = await api.emit(stage.event('steps.none'), null);
    const run = await api.runOf(id);
    expect((await api.ended(run.run_id)).output).toMatchObject({ event: { data: {}, id } });
  });

  it('takes out what only the server may put in', async () => {
    const event = await seen('{"name":"x","data":{"_inngest":{"fn_id":"y"},"kept":true}}');
    expect(event['data']).toEqual({ kept: true });
  });

  it.each([
    ['the oldest time there is', '{"name":"x","ts":315532800000}'],
    ['the latest time there is', '{"name":"x","ts":4102444799999}'],
    ['a name that only looks reserved', '{"name":"inngest.foo"}'],
    ['a name of a thousand letters', JSON.stringify({ name: 'n'.repeat(1_000) })],
    [
      'names and data in all writings',
      JSON.stringify({ name: 'größe/☃', data: { 'ключ\u0000': '\u2028 \ud83d\ude00' } }),
    ],
    ['half of a surrogate pair', '{"name":"x","data":{"s":"\\ud800"}}'],
    ['the name of a method', '{"name":"constructor","data":{"__proto__":{"polluted":true},"toString":1}}'],
    ['numbers at the edge', '{"name":"x","data":{"n":[1e308,-0,5e-324,9007199254740993,1E400]}}'],
    ['sessions', '{"name":"x","meta":{"sessions":{"a":"1","b":2,"c":null}}}'],
  ])('takes %s', async (_, event) => {
    expect(await api.send(event)).toMatchObject({ status: 200 });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('takes five thousand events at once, and an event of just 3 MB', async () => {
    const many = await api.send(
      JSON.stringify(Array.from({ length: 5_000 }, (_, n) => ({ name: 'many', data: { n } }))),
    );
    expect(many.status).toBe(200);
    expect(new Set(many.body.ids).size).toBe(5_000);
    const empty = JSON.stringify({ name: 'large', data: { text: '' } }).length;
    expect((await api.send({ name: 'large', data: { text: 'x'.repeat(3 * MB - empty) } })).status).toBe(200);
  });
});

describe('what the event API refuses', () => {
  const top = 'Request body must contain an event object or an array of event objects';
  it.each([
    ['null', 'null', top],
    ['a text', '"x"', top],
    ['a number', '7', top],
    ['true', 'true', top],
    ['a list of numbers', '[7]', undefined],
    ['half of an object', '{"name":', undefined],
    ['half of a list', '[{"name":"x"}', undefined],
    ['something behind an event', '{"name":"x"} y', undefined],
    ['something behind a list', '[{"name":"x"}],', undefined],
    ['two events without a list', '{"name":"x"}{"name":"y"}', undefined],
    ['no JSON', 'name=x', undefined],
    ['JSON with comments', '{"name":"x"/* */}', undefined],
    ['JSON with a lost comma', '[{"name":"x"},]', undefined],
    ['an event without a name', '{"data":{}}', 'event name is empty'],
    ['an empty name', '{"name":""}', 'event name is empty'],
    ['a name that is a number', '{"name":7}', undefined],
    ['a name that is a list', '{"name":["x"]}', undefined],
    ['a reserved name', '{"name":"inngest/foo"}', 'event name is reserved for internal use: inngest/foo'],
    ['a reserved name in capitals', '{"name":"INNGEST/Foo"}', undefined],
    ['an id that is a number', '{"name":"x","id":7}', undefined],
    ['a version that is a number', '{"name":"x","v":7}', undefined],
    ['data that is a list', '{"name":"x","data":[]}', undefined],
    ['data that is a text', '{"name":"x","data":"y"}', undefined],
    ['a user that is a list', '{"name":"x","user":[]}', undefined],
    ['a time that is a text', '{"name":"x","ts":"1700000000000"}', undefined],
    ['a time with a fraction', '{"name":"x","ts":1700000000000.5}', undefined],
    ['a time in seconds', '{"name":"x","ts":1700000000}', undefined],
    ['a negative time', '{"name":"x","ts":-1}', undefined],
    ['a time in the far future', '{"name":"x","ts":4102444800001}', undefined],
    ['a session that is true', '{"name":"x","meta":{"sessions":{"a":true}}}', undefined],
    ['a session that is an object', '{"name":"x","meta":{"sessions":{"a":{}}}}', undefined],
    [
      'six sessions',
      `{"name":"x","meta":{"sessions":${JSON.stringify(Object.fromEntries([...'abcdef'].map((k) => [k, k])))}}}`,
      undefined,
    ],
    [
      'a long key of a session',
      JSON.stringify({ name: 'x', meta: { sessions: { ['k'.repeat(129)]: '1' } } }),
      undefined,
    ],
    ['a long id of a session', JSON.stringify({ name: 'x', meta: { sessions: { k: 'i'.repeat(513) } } }), undefined],
    ['an event of more than 3 MB', JSON.stringify({ name: 'x', data: { text: 'x'.repeat(3 * MB) } }), undefined],
    ['5,001 events', JSON.stringify(Array(5_001).fill({ name: 'x' })), undefined],
    [
      'an object that nests too deep',
      `{"name":"x","data":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`,
      undefined,
    ],
    ['a list that nests too deep', '['.repeat(500_000), undefined],
    ['bytes that are no text', Buffer.from([0x7b, 0xff, 0xfe, 0x00]).toString('latin1'), undefined],
  ])('refuses %s', async (_, body, error) => {
    const { status, body: said } = await api.send(body);
    expect(status).toBe(400);
    expect(said).toMatchObject({
      ids: [],
      status: 400,
      error: error ?? (expect.any(String) as string),
      code: expect.any(String) as string,
    });
    expect(said.error).not.toMatch(/unexpected token|JSON\.parse|\bat \//i);
  });

  it('refuses a request whole, and says which event is wrong', async () => {
    const name = randomUUID();
    const { status, body } = await api.send(`[{"name":"${name}"},{"name":"${name}","data":7},{"name":"${name}"}]`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ ids: [], error: expect.stringMatching(/event 2\b/) as string });
    await api.emit(`${name} marker`);
    await until(async () => ((await api.events(`name=${name}%20marker`)).length === 1 ? true : undefined), {
      what: 'the marker',
    });
    expect(await api.events(`name=${name}`)).toEqual([]);
  });

  it.each(['multipart/form-data; boundary=x', 'application/x-www-form-urlencoded'])(
    'refuses a form (%s)',
    async (type) => {
      expect((await api.send('name=x', { 'content-type': type })).status).toBe(400);
    },
  );

  it.each(['GET', 'PUT', 'PATCH', 'DELETE'])('refuses %s', async (method) => {
    const { status, headers } = await api.request(method, '/e/test');
    expect([status, headers.get('allow')]).toEqual([405, 'POST']);
  });

  it('lets browsers send', async () => {
    const { status, headers } = await api.request('OPTIONS', '/e/test', undefined, {
      origin: 'http://a.example',
      'access-control-request-method': 'POST',
    });
    expect(status).toBeLessThan(300);
    expect(headers.get('access-control-allow-origin')).toBe('*');
    expect(
      (await api.send({ name: 'x' }, { origin: 'http://a.example' })).headers.get('access-control-allow-origin'),
    ).toBe('*');
  });

  it('refuses a body that is larger than any request may be', async () => {
    const { status, body } = await api
      .send(
        `[${Array(40)
          .fill(JSON.stringify({ name: 'x', data: { t: 'x'.repeat(MB) } }))
          .join(',')}]`,
      )
      .catch(() => ({ status: 413, body: undefined }));
    expect(status).toBe(413);
    if (body) expect(body.ids).toEqual([]);
    expect((await api.send({ name: 'x' })).status).toBe(200);
  });
});

describe('one event at a time (v2)', () => {
  it('answers with its id', async () => {
    for (const path of ['/v2/events', '/api/v2/events']) {
      expect(await api.request('POST', path, { name: 'x', data: {} })).toMatchObject({
        status: 200,
        body: { data: { eventId: expect.stringMatching(ULID) as string } },
      });
    }
  });

  it.each([
    ['a list', '[{"name":"x"}]'],
    ['nothing', ''],
    ['a name of 513 letters', JSON.stringify({ name: 'n'.repeat(513) })],
    ['a reserved name', '{"name":"inngest/x"}'],
  ])('refuses %s', async (_, body) => {
    expect((await api.request('POST', '/v2/events', body)).status).toBe(400);
  });

  it('takes a name of 512 letters', async () => {
    expect((await api.request('POST', '/v2/events', { name: 'n'.repeat(512) })).status).toBe(200);
  });
});

describe('retried requests', () => {
  it('give the same ids for the same seed', async () => {
    const headers = { 'x-inngest-event-id-seed': '1795367605583,tluKt/Gpm81myQ==' };
    for (let tries = 0; tries < 2; tries++) {
      const { body } = await api.send([{ name: 'seeded' }, { name: 'seeded' }], headers);
      expect(body.ids).toEqual(['01M823Z5AFPSDRNDZHN6DWTSPA', '01M823Z5AFPSDRNDZHN6DWTSPB']);
    }
  });

  it('start no second run', async () => {
    const stage = stageOf('v4');
    const key = randomUUID();
    const headers = {
      'x-inngest-event-id-seed': `${Date.now()},${Buffer.from(randomUUID().slice(0, 10)).toString('base64')}`,
    };
    const event = { name: stage.event('steps.none'), data: { key } };
    const first = await api.send([event], headers);
    await stage.log.wait({ kind: 'call', key });
    const second = await api.send([event], headers);
    expect(second.body.ids).toEqual(first.body.ids);
    await stage.play('steps.none');
    expect(await stage.log.seen({ kind: 'call', key })).toHaveLength(1);
  });

  it.each([
    'nonsense',
    '1,2,3',
    'x,tluKt/Gpm81myQ==',
    '1795367605583,AA==',
    ',',
    '99999999999999999999,tluKt/Gpm81myQ==',
  ])('have a seed ignored that is none: %s', async (seed) => {
    const ids = await Promise.all(
      [1, 2].map(async () => (await api.send({ name: 'x' }, { 'x-inngest-event-id-seed': seed })).body.ids[0]),
    );
    expect(ids[0]).not.toBe(ids[1]);
  });

  it('start one run of each function for one event id', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', () => done());
    const id = randomUUID();
    const ids = [
      await api.emit(app.event('f'), { n: 1 }, { id }),
      await api.emit(app.event('f'), { n: 2 }, { id }),
    ] as const;
    expect(ids[0]).not.toBe(ids[1]);
    await app.add('g', { config: { triggers: [{ event: app.event('f') }] }, answers: () => done() });
    const third = await api.emit(app.event('f'), { n: 3 }, { id });
    const run = await api.runOf(third);
    expect(run.function_slug).toBe(`${app.id}-g`);
    await app.play('f');
    expect(
      app.calls.filter(({ fn, body }) => fn === 'f' && body.event.id === id).map(({ body }) => body.event.data),
    ).toEqual([{ n: 1 }]);
    expect(await api.runsOf(ids[1])).toEqual([]);
    expect(
      (await api.events(`name=${encodeURIComponent(app.event('f'))}&limit=100`)).filter((event) => event.id === id),
    ).toHaveLength(3);
  });
});

describe('invoking by name', () => {
  it('starts a function, whatever its triggers', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', {
      config: { triggers: [] },
      answers: ({ body }) => done({ data: body.event.data, name: body.event.name }),
    });
    const { status, body } = await api.request<{ id: string; status: number }>('POST', `/invoke/${app.id}-f`, {
      data: { n: 1 },
      user: { id: 2 },
    });
    expect({ status, body }).toEqual({ status: 200, body: { id: expect.stringMatching(ULID) as string, status: 200 } });
    const run = await api.runOf(body.id);
    expect(await api.ended(run.run_id)).toMatchObject({
      status: 'Completed',
      output: { data: { n: 1 }, name: 'inngest/function.invoked' },
    });
  });

  it('answers in the same way where there is no such function', async () => {
    expect(await api.request('POST', '/invoke/nobody', {})).toMatchObject({ status: 200, body: { status: 200 } });
  });

  it.each(['7', '[]', '{"data":7}', '{"data":[]}', '{"user":"x"}', '{', '{"v":1}'])('refuses %s', async (body) => {
    expect((await api.request('POST', '/invoke/f', body)).status).toBe(400);
  });
});

describe('triggers', () => {
  /** Checks which of some events, by their names, start a run of a function with these triggers. */
  async function start(
    triggers: readonly object[],
    events: readonly { name: string; data?: object }[],
    expected: readonly string[],
  ): Promise<void> {
    await using app = await RawApp.start(api);
    await app.add('f', { config: { triggers }, answers: () => done() });
    await app.add('last', () => done());
    for (const { name, data = {} } of events) await api.emit(name, data);
    const started = () => app.calls.filter(({ fn }) => fn === 'f').map(({ body }) => body.event.name);
    await until(() => (started().length >= expected.length ? true : undefined), {
      what: () => `${expected.join(', ')} to start a run; so far ${started().join(', ')} did`,
    });
    await app.play('last'); // There would have been time for others.
    expect(started().sort()).toEqual([...expected].sort());
  }

  it('match names exactly, or what lies below them', async () => {
    const a = randomUUID();
    const names = [
      `${a}/x`,
      `${a}/user.created`,
      `${a}/user/created`,
      `${a}/user.created.v2`,
      `${a}`,
      `${a}lication/x`,
      `${a.toUpperCase()}/x`,
      `${a}/`,
    ];
    const events = names.map((name) => ({ name }));
    const of = (event: string, ...expected: string[]) => start([{ event }], events, expected);
    await of(`${a}/*`, `${a}/user.created`, `${a}/user.created.v2`, `${a}/user/created`, `${a}/x`);
    await of(`${a}/user.*`, `${a}/user.created`, `${a}/user.created.v2`);
    await of(`${a}/user/*`, `${a}/user/created`);
    await of(`${a}/user.created.*`, `${a}/user.created.v2`);
    await of(`${a}/x`, `${a}/x`);
    await of(`${a}/user*`);
    await of('*');
  });

  it('match by a condition; one that goes wrong does not match', async () => {
    const name = randomUUID();
    const events = [5, 6, '6', null, undefined].map((n) => ({ name, data: { n, text: 'yes' } }));
    await start([{ event: name, expression: 'event.data.n > 5' }], events, [name]);
    await start([{ event: name, expression: 'event.data.text' }], events, []);
    const all = Array<string>(4).fill(name);
    await start([{ event: name, expression: "event.data.text == 'yes' && has(event.data.n)" }], events, all);
  });

  it('start one run, however many of them match', async () => {
    const name = `${randomUUID()}/a.b.c`;
    const prefix = name.slice(0, name.indexOf('/'));
    await start([{ event: name }, { event: `${prefix}/*` }, { event: `${prefix}/a.b.*` }], [{ name }], [name]);
  });

  it('hear internal events like any other', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', () => done(1));
    await app.add('hears', {
      config: { triggers: [{ event: 'inngest/*', expression: `event.data.function_id == '${app.id}-f'` }] },
      answers: () => done(),
    });
    const { runId } = await app.play('f');
    const [heard] = await until(
      () => {
        const calls = app.calls.filter(({ fn }) => fn === 'hears');
        return calls.length > 0 ? calls : undefined;
      },
      { what: 'the listener to be called' },
    );
    expect(heard?.body.event).toMatchObject({ name: 'inngest/function.finished', data: { run_id: runId } });
  });
});

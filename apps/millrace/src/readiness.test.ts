import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Fault } from '#core/faults.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { FrontDoor } from './front-door.js';
import { answerWhileStarting } from './health.answers.js';
import { Readiness } from './readiness.js';

class Log {
  readonly lines: string[] = [];
  readonly debug = () => undefined;
  readonly error = () => undefined;
  readonly info = (_data: object, sentence: string) => void this.lines.push(sentence);
  readonly warn = (data: object, sentence: string) => {
    const { waitingFor, err } = data as { waitingFor: string; err?: Error };
    this.lines.push(`${sentence}: ${waitingFor}${err ? ` (${err.message})` : ''}`);
  };
}

describe('whether a process is ready', () => {
  it('it is when nothing is lacking', async () => {
    const readiness = new Readiness(new ManualClock(), new Log());
    readiness.add('log', () => Promise.resolve(undefined));
    readiness.add('partitions', () => undefined);
    expect(await readiness.lacking()).toEqual([]);
  });

  it('tells all that is lacking: what says so, what fails, and what does not answer', async () => {
    const clock = new ManualClock();
    const log = new Log();
    const readiness = new Readiness(clock, log);
    readiness.add('partitions', () => 'not served yet: 3');
    readiness.add('log', () => Promise.reject(new Error('no broker at 10.0.0.7')));
    readiness.add('catalog', () => {
      throw new Fault('log_unavailable');
    });
    readiness.add('queue', () => new Promise(() => undefined));
    readiness.add('history', () => undefined);
    const lacking = readiness.lacking();
    await clock.turn(5_000);
    expect(await lacking).toEqual([
      { name: 'partitions', reason: 'not served yet: 3' },
      { name: 'log', reason: 'it failed: see the log of the process' },
      { name: 'catalog', reason: 'The log cannot be written right now; try again.' },
      { name: 'queue', reason: 'no answer in time' },
    ]);
    expect(log.lines).toEqual(['not ready: partitions, log, catalog, queue (no broker at 10.0.0.7)']);
  });

  it('is looked at again soon, and not with every question', async () => {
    const clock = new ManualClock();
    const log = new Log();
    const readiness = new Readiness(clock, log);
    let looks = 0;
    readiness.add('log', () => (++looks <= 2 ? 'not yet' : undefined));
    for (let n = 0; n < 2; n++) {
      expect(await readiness.lacking()).toHaveLength(1);
      expect(await readiness.lacking()).toHaveLength(1);
      await clock.turn(1_000);
    }
    expect(await readiness.lacking()).toEqual([]);
    expect(looks).toBe(3);
    expect(log.lines).toEqual(['not ready: log', 'ready again']);
  });

  it('is over at once when the process begins to end', async () => {
    const readiness = new Readiness(new ManualClock(), new Log());
    expect(await readiness.lacking()).toEqual([]);
    readiness.drain();
    expect(await readiness.lacking()).toMatchObject([{ name: 'draining' }]);
  });

  it('can be asked while the server starts; all else waits', async () => {
    const door = await FrontDoor.open('127.0.0.1', 0, answerWhileStarting);
    const url = `http://127.0.0.1:${door.port}`;
    const live = await fetch(`${url}/health/live`);
    expect([live.status, await live.json()]).toEqual([200, { status: 200, message: 'OK' }]);
    const ready = await fetch(`${url}/health/ready?x=1`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({ waiting_for: [{ name: 'starting' }] });

    const came = once(door.server, 'request');
    const waits = fetch(`${url}/health`);
    await came;
    door.answerWith((request, response) => response.end(request.url));
    expect(await (await waits).text()).toBe('/health');
    expect(await (await fetch(`${url}/health/live`)).text()).toBe('/health/live');
    await door.close();
  });
});

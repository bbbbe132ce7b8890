import { describe, expect, it } from 'vitest';
import { parseCron, type Cron } from './cron.parse.js';

function read(text: string): Cron {
  const cron = parseCron(text);
  if ('mistake' in cron) throw new Error(cron.mistake);
  return cron;
}

const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('a cron expression', () => {
  it('has five fields, in UTC', () =>
    expect(read('5 4 3 2 1')).toEqual({
      zone: 'UTC',
      minutes: [5],
      hours: [4],
      monthDays: [3],
      months: [2],
      weekDays: [1],
      eitherDay: true,
    }));

  it('may be all stars or question marks', () => {
    const all = {
      minutes: upTo(0, 59),
      hours: upTo(0, 23),
      monthDays: upTo(1, 31),
      months: upTo(1, 12),
      weekDays: upTo(0, 6),
    };
    expect(read('* * * * *')).toEqual({ zone: 'UTC', ...all, eitherDay: false });
    expect(read('? ? ? ? ?')).toEqual({ zone: 'UTC', ...all, eitherDay: false });
  });

  it.each([
    ['0,30 * * * *', [0, 30]],
    ['30,0,30 * * * *', [0, 30]],
    ['1-3 * * * *', [1, 2, 3]],
    ['*/20 * * * *', [0, 20, 40]],
    ['?/20 * * * *', [0, 20, 40]],
    ['5-20/5 * * * *', [5, 10, 15, 20]],
    ['50/5 * * * *', [50, 55]],
    ['1-2,58/1,7 * * * *', [1, 2, 7, 58, 59]],
    ['*/100 * * * *', [0]],
    ['05 * * * *', [5]],
  ])('%s: minutes %j', (text, minutes) => expect(read(text).minutes).toEqual(minutes));

  it.each([
    ['0 0 1 jan *', [1]],
    ['0 0 1 JAN-Mar,dec *', [1, 2, 3, 12]],
    ['0 0 1 feb-oct/4 *', [2, 6, 10]],
  ])('%s: months %j', (text, months) => expect(read(text).months).toEqual(months));

  it.each([
    ['0 0 * * sun', [0]],
    ['0 0 * * MON-fri', [1, 2, 3, 4, 5]],
    ['0 0 * * Sun,6', [0, 6]],
  ])('%s: days of the week %j', (text, weekDays) => expect(read(text).weekDays).toEqual(weekDays));

  it.each([
    ['0 0 1 * 1', true],
    ['0 0 */2 * mon', true],
    ['0 0 1-31 * 1', true],
    ['0 0 * * 1', false],
    ['0 0 ? * 1', false],
    ['0 0 1 * ?', false],
    ['0 0 */1 * 1', false],
    ['0 0 1,* * 1', false],
  ])('%s: one of both day fields is enough: %j', (text, either) => expect(read(text).eitherDay).toBe(either));

  it.each([
    ['TZ=Europe/Paris 0 9 * * *', 'Europe/Paris'],
    ['CRON_TZ=America/New_York   0 9 * * *', 'America/New_York'],
    ['TZ=UTC 0 9 * * *', 'UTC'],
    ['  0  9\t*  * * ', 'UTC'],
    ['TZ=america/new_york 0 9 * * *', 'America/New_York'],
    ['TZ=Etc/GMT+5 0 9 * * *', 'Etc/GMT+5'],
  ])('%j: zone %s', (text, zone) => {
    expect(read(text).zone).toBe(zone);
    expect(read(text).hours).toEqual([9]);
  });

  it.each([
    ['', 'five fields'],
    ['* * * *', 'five fields'],
    ['0 * * * * *', 'five fields'],
    ['0 0 0 1 1 * 2026', 'five fields'],
    ['TZ=UTC', 'five fields'],
    ['TZ=UTC * * * *', 'five fields'],
    ['@hourly', 'Descriptors'],
    ['@every 5m', 'Descriptors'],
    ['TZ=UTC @daily', 'Descriptors'],
    ['0 0 L * *', '"L" is no day of month'],
    ['0 0 15W * *', '"15W" is no day of month'],
    ['0 0 * * 1#2', '"1#2" is no day of week'],
    ['0 0 * * 5L', '"5L" is no day of week'],
    ['0 0 * * 7', 'must lie in 0 to 6'],
    ['0 0 * * 0-7', 'must lie in 0 to 6'],
    ['60 * * * *', 'must lie in 0 to 59'],
    ['* 24 * * *', 'must lie in 0 to 23'],
    ['* * 0 * *', 'must lie in 1 to 31'],
    ['* * 32 * *', 'must lie in 1 to 31'],
    ['* * * 0 *', 'must lie in 1 to 12'],
    ['* * * 13 *', 'must lie in 1 to 12'],
    ['30-10 * * * *', 'runs backwards'],
    ['0 0 * * fri-mon', 'runs backwards'],
    ['0 0 * dec-jan *', 'runs backwards'],
    ['*/0 * * * *', 'step "0"'],
    ['*/-5 * * * *', 'step "-5"'],
    ['*/x * * * *', 'step "x"'],
    ['*/ * * * *', 'step ""'],
    ['1/2/3 * * * *', 'no value, range or step'],
    ['1-2-3 * * * *', 'no value, range or step'],
    ['1, * * * *', 'no value, range or step'],
    ['-5 * * * *', '"" is no minute'],
    ['*-5 * * * *', '"*" is no minute'],
    ['1.5 * * * *', '"1.5" is no minute'],
    ['jan * * * *', '"jan" is no minute'],
    ['0 0 * january *', '"january" is no month'],
    ['0 0 * mon *', '"mon" is no month'],
    ['TZ=Mars/Olympus 0 9 * * *', 'time zone "Mars/Olympus" is unknown'],
    ['TZ= 0 9 * * *', 'time zone "" is unknown'],
    ['TZ=+02:00 0 9 * * *', 'time zone "+02:00" is unknown'],
    ['tz=UTC 0 9 * * *', 'five fields'],
    ['0 0 1 1 *' + ' '.repeat(250), 'longer than 255'],
  ])('%j is refused: %s', (text, reason) =>
    expect(parseCron(text)).toEqual({ mistake: expect.stringContaining(reason) as unknown }),
  );

  it('may be 255 characters long', () => expect(read(`${'0,'.repeat(123)}0 * * * *`).minutes).toEqual([0]));
});

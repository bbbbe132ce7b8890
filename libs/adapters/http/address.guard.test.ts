import type { LookupAddress, lookup } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { checkHost, guardedLookup, isAllowed, kindOf, type AddressPolicy } from './address.guard.js';

const open: AddressPolicy = { allowPrivate: true };
const strict: AddressPolicy = { allowPrivate: false };

it.each([
  ['8.8.8.8', 'public'],
  ['172.15.255.255', 'public'],
  ['172.32.0.0', 'public'],
  ['100.63.255.255', 'public'],
  ['2606:4700::1111', 'public'],
  ['::ffff:8.8.8.8', 'public'],
  ['64:ff9b::8.8.8.8', 'public'],
  ['2002:808:808::1', 'public'],
  ['127.0.0.1', 'private'],
  ['127.255.0.9', 'private'],
  ['0.0.0.0', 'private'],
  ['10.1.2.3', 'private'],
  ['172.16.0.1', 'private'],
  ['172.31.255.255', 'private'],
  ['192.168.0.1', 'private'],
  ['100.64.0.1', 'private'],
  ['::', 'private'],
  ['::1', 'private'],
  ['fc00::1', 'private'],
  ['fdff::1', 'private'],
  ['::ffff:10.0.0.1', 'private'],
  ['::ffff:7f00:1', 'private'],
  ['0:0:0:0:0:ffff:c0a8:101', 'private'],
  ['64:ff9b::a00:1', 'private'],
  ['2002:a00:1::', 'private'],
  ['169.254.169.254', 'link_local'],
  ['100.100.100.200', 'link_local'],
  ['168.63.129.16', 'link_local'],
  ['192.0.0.192', 'link_local'],
  ['fe80::1', 'link_local'],
  ['febf::1%eth0', 'link_local'],
  ['fd00:ec2::254', 'link_local'],
  ['::ffff:169.254.169.254', 'link_local'],
  ['2002:a9fe:a9fe::', 'link_local'],
  ['224.0.0.1', 'unusable'],
  ['255.255.255.255', 'unusable'],
  ['240.0.0.1', 'unusable'],
  ['ff02::1', 'unusable'],
  ['203.0.113.7', 'unusable'],
])('%s is %s', (address, kind) => {
  expect(kindOf(address)).toBe(kind);
});

it('allows by policy', () => {
  const allowed = (policy: AddressPolicy) =>
    ['8.8.8.8', '10.0.0.1', '169.254.169.254', '224.0.0.1'].filter((address) => isAllowed(address, policy));
  expect(allowed(strict)).toEqual(['8.8.8.8']);
  expect(allowed(open)).toEqual(['8.8.8.8', '10.0.0.1']);
  expect(allowed({ allowPrivate: true, allowLinkLocal: true })).toEqual(['8.8.8.8', '10.0.0.1', '169.254.169.254']);
});

it('checks hosts that are addresses, and leaves names to the lookup', () => {
  expect(() => checkHost('10.0.0.1', strict)).toThrow('does not call');
  expect(() => checkHost('[::1]', strict)).toThrow('does not call');
  for (const host of ['localhost', '8.8.8.8', '[2606:4700::1111]', 'x.test'])
    expect(() => checkHost(host, strict)).not.toThrow();
});

describe('the lookup', () => {
  const resolving = (addresses: LookupAddress[]) =>
    ((_name: string, _options: object, done: (error: null, found: LookupAddress[]) => void) =>
      done(null, addresses)) as typeof lookup;
  const look = (name: string, addresses: LookupAddress[], policy: AddressPolicy, all = true) =>
    new Promise((resolve, reject) => {
      guardedLookup(policy, resolving(addresses))(name, { all }, (error, found, family) => {
        if (error) reject(error);
        else resolve(all ? found : [found, family]);
      });
    });
  const inside = { address: '10.0.0.1', family: 4 };
  const outside = { address: '8.8.8.8', family: 4 };
  const outside6 = { address: '2606:4700::1111', family: 6 };

  it('gives out allowed addresses only', async () => {
    expect(await look('x.test', [inside, outside6, outside], strict)).toEqual([outside6, outside]);
    expect(await look('x.test', [inside, outside], strict, false)).toEqual(['8.8.8.8', 4]);
    await expect(look('rebound.test', [inside], strict)).rejects.toMatchObject({ code: 'url_refused' });
    await expect(look('void.test', [], strict)).rejects.toMatchObject({ code: 'url_refused' });
  });

  it('looks for apps on IPv4 first, where they are on this machine', async () => {
    const here = [
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ];
    expect(await look('localhost', here, open)).toEqual([here[1], here[0]]);
    expect(await look('x.test', here, open)).toEqual(here);
  });
});

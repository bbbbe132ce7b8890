import { lookup as resolve, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { AppUnreachable } from '#ports/app-transport.port.js';

/** Which addresses may be called. */
export interface AddressPolicy {
  /** This machine and private networks: RFC 1918, unique local, shared address space. */
  readonly allowPrivate: boolean;
  /** Link-local addresses and where clouds keep the secrets of their machines. */
  readonly allowLinkLocal?: boolean;
}

export type AddressKind = 'public' | 'private' | 'link_local' | 'unusable';

const RANGES: readonly (readonly [AddressKind, readonly string[]])[] = [
  [
    'link_local',
    ['169.254.0.0/16', '100.100.100.200/32', '192.0.0.192/32', '168.63.129.16/32', 'fe80::/10', 'fd00:ec2::254/128'],
  ],
  [
    'private',
    [
      ...[
        '0.0.0.0/8',
        '10.0.0.0/8',
        '100.64.0.0/10',
        '127.0.0.0/8',
        '172.16.0.0/12',
        '192.0.0.0/24',
        '192.168.0.0/16',
        '198.18.0.0/15',
      ],
      ...['::/128', '::1/128', 'fc00::/7', 'fec0::/10'],
    ],
  ],
  ['unusable', ['224.0.0.0/3', '192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', 'ff00::/8', '2001:db8::/32']],
];

const LISTS = RANGES.map(([kind, subnets]) => {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [address = '', bits = ''] = subnet.split('/');
    list.addSubnet(address, Number(bits), address.includes(':') ? 'ipv6' : 'ipv4');
  }
  return [kind, list] as const;
});

/** What an IP address is for. An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) counts as itself. */
export function kindOf(address: string): AddressKind {
  const inner = isIP(address) === 6 ? innerIpv4(address) : address;
  const plain = inner ?? address;
  const family = plain.includes(':') ? 'ipv6' : 'ipv4';
  return LISTS.find(([, list]) => list.check(plain, family))?.[0] ?? 'public';
}

function innerIpv4(address: string): string | undefined {
  const groups = groupsOf(address);
  const head = groups.slice(0, 6).join(':');
  if (head === '0:0:0:0:0:65535' || head === '100:65435:0:0:0:0') return dotted(groups[6], groups[7]);
  if (groups[0] === 0x2002) return dotted(groups[1], groups[2]);
  return undefined;
}

/** The eight numbers of an IPv6 address, which is valid. */
function groupsOf(address: string): readonly number[] {
  const [text = ''] = address.split('%');
  const dots = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const plain = dots ? `${dots[1]}${pair(dots[2], dots[3])}:${pair(dots[4], dots[5])}` : text;
  const [left = '', right] = plain.split('::');
  const before = left === '' ? [] : left.split(':');
  const after = right === undefined || right === '' ? [] : right.split(':');
  const missing = right === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array<string>(missing).fill('0'), ...after].map((group) => parseInt(group, 16));
}

function pair(high: string | undefined, low: string | undefined): string {
  return (Number(high) * 256 + Number(low)).toString(16);
}

function dotted(high = 0, low = 0): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

export function isAllowed(address: string, policy: AddressPolicy): boolean {
  switch (kindOf(address)) {
    case 'public':
      return true;
    case 'private':
      return policy.allowPrivate;
    case 'link_local':
      return policy.allowLinkLocal ?? false;
    case 'unusable':
      return false;
  }
}

/** Checks a host that is an address already; names are checked when they are resolved. @throws AppUnreachable url_refused */
export function checkHost(hostname: string, policy: AddressPolicy): void {
  const address = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  if (isIP(address) !== 0 && !isAllowed(address, policy)) throw refused(hostname);
}

function refused(hostname: string): AppUnreachable {
  return new AppUnreachable(
    'url_refused',
    `${hostname} is an address that this server does not call: it is private, link-local or reserved`,
  );
}

/**
 * Resolves names for sockets, and gives out allowed addresses only. A socket connects to what it was given here, so that a name which
 * resolves differently the next moment changes nothing.
 */
export function guardedLookup(policy: AddressPolicy, resolver: typeof resolve = resolve): LookupFunction {
  return (hostname, options, done) => {
    resolver(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error) return done(error, []);
      const allowed = addresses.filter(({ address }) => isAllowed(address, policy));
      if (allowed.length === 0) return done(refused(hostname), []);
      // `127.0.0.1` in a registered URL has become `localhost`: apps that listen there must be found first.
      const ordered = hostname === 'localhost' ? allowed.sort((a, b) => a.family - b.family) : allowed;
      const [first] = ordered;
      if (options.all || !first) done(null, ordered);
      else done(null, first.address, first.family);
    });
  };
}

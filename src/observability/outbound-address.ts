import { lookup as resolve, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { cidrMatcher, parseCidrs } from '../config/cidr';

/**
 * Nobody's address, or one that answers with what is none of a caller's business: "this" host, link-local (where clouds
 * keep their metadata), the metadata addresses outside of it, NAT64 (which hides any of them), multicast.
 */
const isForbidden = cidrMatcher(
  parseCidrs([
    '0.0.0.0/8',
    '169.254.0.0/16',
    '100.100.100.200/32',
    '192.0.0.192/32',
    '224.0.0.0/3',
    '::/128',
    'fe80::/10',
    'fd00:ec2::/32',
    '64:ff9b::/96',
    'ff00::/8',
  ]),
);
const isOwn = cidrMatcher(
  parseCidrs(['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '::1/128', 'fc00::/7']),
);

/** Why nothing is sent to an address. */
export class ForbiddenAddress extends Error {
  override readonly name = 'ForbiddenAddress';
}

/** @throws ForbiddenAddress for a host that is itself an address, and one that may not be spoken to */
export function checkHost(url: URL): void {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0) judge([host], url.protocol === 'http:');
}

/**
 * Resolves a name for one connection and judges what came out: the socket goes to the very addresses that were judged,
 * so a name that resolves otherwise a moment later gains nothing. Plain http goes to private and loopback ones only.
 */
export function judgedLookup(plain: boolean): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      const addresses: LookupAddress[] = error ? [] : found;
      const fault = error ?? faultOf(addresses, plain);
      const [first] = addresses;
      if (fault || !first) callback(fault ?? new ForbiddenAddress('the host has no address'), '', 4);
      else if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function faultOf(found: readonly LookupAddress[], plain: boolean): Error | null {
  try {
    judge(
      found.map(({ address }) => address),
      plain,
    );
    return null;
  } catch (error) {
    return error as ForbiddenAddress;
  }
}

function judge(addresses: readonly string[], plain: boolean): void {
  if (addresses.some((address) => isForbidden(address)))
    throw new ForbiddenAddress('link-local, metadata and multicast addresses are refused');
  if (plain && !addresses.every((address) => isOwn(address)))
    throw new ForbiddenAddress('plain http goes to private and loopback addresses only');
}

import { isCidr } from './cidr';
import type { EncryptionKey, ServiceKey } from './env';

export type RawEnv = Readonly<Record<string, string | undefined>>;

/** Every fault of the environment, one line each: the variable and what it must be, never its value. */
export class EnvError extends Error {
  override readonly name = 'EnvError';
  constructor(readonly faults: readonly string[]) {
    super(faults.join('\n'));
  }
}

const MIN_SECRET_BYTES = 32;

/** Reads single variables and collects what is wrong with them instead of stopping at the first. */
export class EnvReader {
  private readonly faults = new Map<string, string>();

  constructor(private readonly raw: RawEnv) {}

  /** The value without surrounding space; empty counts as unset. */
  text(name: string): string | undefined {
    const value = this.raw[name]?.trim();
    return value === undefined || value === '' ? undefined : value;
  }

  fault(name: string, mustBe: string): void {
    if (!this.faults.has(name)) this.faults.set(name, `${name} ${mustBe}`);
  }

  hasFault(...names: string[]): boolean {
    return names.some((name) => this.faults.has(name));
  }

  throwFaults(): void {
    if (this.faults.size > 0) throw new EnvError([...this.faults.values()]);
  }

  oneOf<const T extends string>(name: string, values: readonly T[], fallback: NoInfer<T>): T {
    const value = this.text(name);
    if (value === undefined) return fallback;
    const found = values.find((item) => item === value);
    if (found === undefined) this.fault(name, `must be one of: ${values.join(', ')}`);
    return found ?? fallback;
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.text(name)?.toLowerCase();
    if (value === undefined) return fallback;
    if (['true', '1', 'yes', 'on'].includes(value)) return true;
    if (['false', '0', 'no', 'off'].includes(value)) return false;
    this.fault(name, 'must be true or false');
    return fallback;
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    const value = this.text(name);
    if (value === undefined) return fallback;
    const number = /^\d{1,15}$/.test(value) ? Number(value) : NaN;
    if (number >= min && number <= max) return number;
    this.fault(name, `must be an integer from ${min} to ${max}`);
    return fallback;
  }

  /** A number above 0, up to 1. */
  fraction(name: string, fallback: number): number {
    const value = this.text(name);
    if (value === undefined) return fallback;
    const number = /^\d*\.?\d+$/.test(value) ? Number(value) : NaN;
    if (number > 0 && number <= 1) return number;
    this.fault(name, 'must be a number above 0 and at most 1');
    return fallback;
  }

  matching(name: string, pattern: RegExp, what: string, fallback: string): string {
    const value = this.text(name);
    if (value === undefined) return fallback;
    if (!pattern.test(value)) this.fault(name, `must be ${what}`);
    return value;
  }

  secret(name: string): string | undefined {
    const value = this.text(name);
    if (value !== undefined && Buffer.byteLength(value) < MIN_SECRET_BYTES)
      this.fault(name, `must be at least ${MIN_SECRET_BYTES} bytes long`);
    return value;
  }

  /** A Standard Webhooks secret: `whsec_` and base64 of at least 24 bytes. */
  webhookSecret(name: string): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const match = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(value);
    if (!match || Buffer.from(match[1] ?? '', 'base64').length < MIN_SECRET_BYTES)
      this.fault(name, `must be whsec_ and the base64 of at least ${MIN_SECRET_BYTES} bytes`);
    return value;
  }

  /** An http(s) address. Plain http beyond loopback is refused where `httpsOnly`. No credentials in it. */
  url(name: string, rules: { httpsOnly?: boolean; originOnly?: boolean }): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const url = URL.canParse(value) ? new URL(value) : undefined;
    if (!url || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
      this.fault(name, 'must be an http or https address without credentials');
      return undefined;
    }
    if (rules.httpsOnly && url.protocol !== 'https:' && !isLoopbackHost(url.hostname))
      this.fault(name, 'must be an https address');
    if (rules.originOnly && (url.pathname !== '/' || url.search !== '' || url.hash !== ''))
      this.fault(name, 'must be an address without a path');
    return rules.originOnly ? url.origin : value.replace(/\/+$/, '');
  }

  databaseUrl(name: string): string | undefined {
    return this.addressOf(name, ['postgres:', 'postgresql:'], 'postgres://user:password@host:5432/database');
  }

  redisUrl(name: string): string | undefined {
    return this.addressOf(name, ['redis:', 'rediss:'], 'redis://host:6379');
  }

  private addressOf(name: string, protocols: readonly string[], example: string): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (URL.canParse(value) && protocols.includes(new URL(value).protocol)) return value;
    this.fault(name, `must be an address such as ${example}`);
    return undefined;
  }

  list(name: string): string[] {
    return (this.text(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  }

  origins(name: string): string[] {
    const values = this.list(name);
    if (values.some((item) => !URL.canParse(item) || new URL(item).origin !== item))
      this.fault(name, 'must be origins such as https://app.example.com, comma-separated');
    return values;
  }

  cidrs(name: string, fallback: string): string[] {
    const values = (this.text(name) ?? fallback).split(',').map((item) => item.trim());
    if (values.every(isCidr)) return values;
    this.fault(name, 'must be CIDRs such as 10.0.0.0/8, comma-separated');
    return fallback.split(',');
  }

  trustProxy(name: string, strict: boolean): boolean | number | readonly string[] {
    const value = this.text(name)?.toLowerCase();
    if (value === undefined || value === 'false') return false;
    if (/^[1-9]\d?$/.test(value)) return Number(value);
    if (value === 'true') {
      if (strict) this.fault(name, 'must be false, a number of hops or CIDRs: true would believe any sender');
      return true;
    }
    const cidrs = value.split(',').map((item) => item.trim());
    if (!cidrs.every(isCidr)) this.fault(name, 'must be false, a number of hops or CIDRs, comma-separated');
    return cidrs;
  }

  serviceKeys(name: string): ServiceKey[] {
    const keys = this.list(name).map((item) => {
      const colon = item.indexOf(':');
      return { name: item.slice(0, Math.max(colon, 0)), secret: item.slice(colon + 1) };
    });
    if (keys.some((key) => !/^[A-Za-z0-9_-]{1,64}$/.test(key.name) || !/^[\x21-\x7e]+$/.test(key.secret)))
      this.fault(name, 'must be name:secret pairs, comma-separated');
    else if (keys.some((key) => Buffer.byteLength(key.secret) < MIN_SECRET_BYTES))
      this.fault(name, `must hold secrets of at least ${MIN_SECRET_BYTES} bytes`);
    else if (new Set(keys.map((key) => key.secret)).size !== keys.length)
      this.fault(name, 'must not hold the same secret twice');
    return keys;
  }

  encryptionKeys(name: string): EncryptionKey[] {
    const keys = this.list(name).map((item) => {
      const colon = item.indexOf(':');
      const text = item.slice(colon + 1);
      const key = Buffer.from(text, 'base64');
      return { id: item.slice(0, Math.max(colon, 0)), key, exact: key.toString('base64') === text };
    });
    if (keys.length === 0)
      this.fault(
        name,
        'is required: id:base64(32 bytes) pairs, comma-separated; make one with: openssl rand -base64 32',
      );
    else if (keys.some((item) => !/^[A-Za-z0-9_-]{1,32}$/.test(item.id) || !item.exact || item.key.length !== 32))
      this.fault(name, 'must be id:base64(32 bytes) pairs, comma-separated');
    else if (new Set(keys.map((item) => item.id)).size !== keys.length)
      this.fault(name, 'must not hold the same id twice');
    return keys.map(({ id, key }) => ({ id, key }));
  }
}

function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

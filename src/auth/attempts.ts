/** Counts wrong credentials by address in fixed windows; bounded memory, the oldest address goes first. */
export class WrongCredentials {
  private readonly seen = new Map<string, { count: number; until: number }>();

  constructor(
    private readonly limit = 60,
    private readonly windowMs = 60_000,
    private readonly maxAddresses = 10_000,
  ) {}

  /**
   * Notes one wrong credential.
   * @param scope what else tells it apart: each scope of an address has a window of its own
   * @returns the seconds to wait when the address is over its limit, else undefined
   */
  note(address: string, now: number, scope = ''): number | undefined {
    const key = `${networkOf(address)} ${scope}`;
    let entry = this.seen.get(key);
    if (!entry || entry.until <= now) {
      this.seen.delete(key);
      if (this.seen.size >= this.maxAddresses) this.forgetOldest();
      entry = { count: 0, until: now + this.windowMs };
      this.seen.set(key, entry);
    }
    entry.count += 1;
    return entry.count > this.limit ? (entry.until - now) / 1000 : undefined;
  }

  private forgetOldest(): void {
    const oldest = this.seen.keys().next();
    if (oldest.done !== true) this.seen.delete(oldest.value);
  }
}

/** One customer holds a whole /64 of IPv6: its addresses count as one. */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!plain.includes(':')) return plain;
  const [head = '', tail = ''] = plain.split('::', 2);
  const front = head === '' ? [] : head.split(':');
  const back = tail === '' ? [] : tail.split(':');
  const zeros = plain.includes('::') ? Math.max(0, 8 - front.length - back.length) : 0;
  return [...front, ...Array<string>(zeros).fill('0'), ...back].slice(0, 4).join(':');
}

/** One request as it was received and answered; the key is never kept, only its last four characters. */
export interface Received {
  n: number;
  at: string;
  method: string;
  path: string;
  query: string;
  operation: string | null;
  revision: string | null;
  effectiveRevision: string | null;
  status: number;
  body: unknown;
  headers: Record<string, string>;
  ms: number;
  fault?: string;
}

const RING = 10_000;

/** What an account's clients sent: the last 10,000 requests and totals of all of them. */
export class RequestLog {
  private ring: Received[] = [];
  private start = 0;
  private count = 0;
  private totals = new Map<string, { total: number; statuses: Record<string, number> }>();

  add(entry: Omit<Received, 'n'>): Received {
    this.count += 1;
    const full = { n: this.count, ...entry };
    if (this.ring.length < RING) this.ring.push(full);
    else {
      this.ring[this.start] = full;
      this.start = (this.start + 1) % RING;
    }
    const name = entry.operation ?? 'unknown';
    const total = this.totals.get(name) ?? { total: 0, statuses: {} };
    total.total += 1;
    total.statuses[entry.status] = (total.statuses[entry.status] ?? 0) + 1;
    this.totals.set(name, total);
    return full;
  }

  /** Kept requests in order; `since` is the number after which to begin. */
  list(operation: string | undefined, since: number): Received[] {
    const ordered = [...this.ring.slice(this.start), ...this.ring.slice(0, this.start)];
    return ordered.filter((entry) => entry.n > since && (operation === undefined || entry.operation === operation));
  }

  summary(): { total: number; operations: Record<string, { total: number; statuses: Record<string, number> }> } {
    return { total: this.count, operations: Object.fromEntries(this.totals) };
  }

  clear(): void {
    this.count = 0;
    this.ring = [];
    this.start = 0;
    this.totals = new Map();
  }
}

import { createHash } from 'node:crypto';

/** Why a `links.next` is not followed. */
export type CursorFault = 'malformed' | 'another host' | 'another endpoint' | 'a loop';

/** Judges each `links.next` of one pass: followed only on Klaviyo's own origin and the operation's own path, and never twice. */
export class CursorGuard {
  /** Digests, since the addresses of a long pass would be megabytes. */
  private readonly seen = new Set<string>();

  /** @param first the address that the pass begins with */
  constructor(private readonly first: URL) {
    this.remember(first);
  }

  judge(next: unknown): { url: URL } | { fault: CursorFault } {
    if (typeof next !== 'string' || next.length > 16_000 || !URL.canParse(next)) return { fault: 'malformed' };
    const url = new URL(next);
    if (url.origin !== this.first.origin || url.username !== '' || url.password !== '')
      return { fault: 'another host' };
    if (withoutSlash(url.pathname) !== withoutSlash(this.first.pathname)) return { fault: 'another endpoint' };
    return this.remember(url) ? { url } : { fault: 'a loop' };
  }

  private remember(url: URL): boolean {
    const digest = createHash('sha256').update(url.search).digest('base64url').slice(0, 22);
    if (this.seen.has(digest)) return false;
    this.seen.add(digest);
    return true;
  }
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

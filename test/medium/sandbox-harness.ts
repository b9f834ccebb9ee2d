import type { Sandbox } from '../support/sandbox';

/** A document of the API: each test asserts the part that it is about. */
export type Document = ReturnType<typeof JSON.parse>;

/** One answer, read whole. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  json: Document;
}

/** Talks to the sandbox the way Klaviyo's clients do, with one key and one revision unless told otherwise. */
export class Caller {
  private readonly sandbox: Sandbox;
  private readonly key: string;
  private readonly revision: string;

  constructor(sandbox: Sandbox, key: string, revision = '2026-07-15') {
    this.sandbox = sandbox;
    this.key = key;
    this.revision = revision;
  }

  async call(
    path: string,
    init: { method?: string; body?: string; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const url = path.startsWith('http') ? path : this.sandbox.url + path;
    const headers = { authorization: `Klaviyo-API-Key ${this.key}`, revision: this.revision, ...init.headers };
    const response = await fetch(url, { ...init, headers });
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json') && text !== '';
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : null };
  }

  async get(path: string): Promise<Answer> {
    return this.call(path);
  }

  async send(method: string, path: string, body: unknown): Promise<Answer> {
    return this.call(path, {
      method,
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/vnd.api+json' },
    });
  }

  /** Every row of a collection, page after page. */
  async all(path: string): Promise<{ rows: Document[]; pages: number }> {
    const rows: Document[] = [];
    let pages = 0;
    for (let next: string | null = path; next !== null && pages < 1000; pages += 1) {
      const answer: Answer = await this.get(next);
      if (answer.status !== 200) throw new Error(`${next}: ${answer.status} ${answer.text}`);
      rows.push(...answer.json.data);
      next = answer.json.links.next as string | null;
    }
    return { rows, pages };
  }
}

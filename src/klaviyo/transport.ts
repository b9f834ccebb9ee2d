import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import { HttpService } from '@nestjs/axios';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isAxiosError, type AxiosRequestConfig } from 'axios';
import { answerText } from './answer-text';

export interface TransportRequest {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  url: string;
  headers: Readonly<Record<string, string>>;
  body: Buffer | undefined;
  /** For the whole exchange: connecting, waiting, and the last byte of the answer. */
  timeoutMs: number;
}

/** What came over the line; only what is read further. */
export type TransportResult =
  | {
      kind: 'answer';
      status: number;
      body: string;
      retryAfter: string | undefined;
      rateLimit: string | undefined;
      remaining: string | undefined;
      requestId: string | undefined;
    }
  | { kind: 'timeout' }
  | { kind: 'oversized'; status: number }
  | { kind: 'network'; sent: boolean; reason: string };

/** Klaviyo's largest page (1,000 events of 100 KB strings aside) is far below; a flood ends here. */
const LARGEST_ANSWER = 20 * 1024 * 1024;
/** More than what Klaviyo takes (5 MB), which is refused before. */
const LARGEST_REQUEST = 6 * 1024 * 1024;
/** All accounts share one host: enough sockets for a busy replica, few enough that a hanging host is felt early. */
const SOCKETS = 256;
/** Shorter than what servers keep an idle line, so that a request is not written to a line that is being closed. */
const IDLE_SOCKET_MS = 15_000;
/** Nothing can have arrived: there was no connection. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

/** Sends one attempt and never throws: own sockets, no proxy of the environment, no redirects, bounded time and size. */
@Injectable()
export class KlaviyoTransport implements OnApplicationShutdown {
  private readonly httpAgent = new HttpAgent(agentOptions());
  private readonly httpsAgent = new HttpsAgent(agentOptions());

  constructor(private readonly http: HttpService) {}

  async send(request: TransportRequest): Promise<TransportResult> {
    const abort = new AbortController();
    // axios' own timeout restarts with every chunk: a dripping body would outlive it.
    const timer = setTimeout(() => abort.abort(), request.timeoutMs);
    try {
      const { status, data, headers } = await this.http.axiosRef.request<Readable>(this.config(request, abort.signal));
      const body = await answerText(data, LARGEST_ANSWER);
      if (body === null) return { kind: 'oversized', status };
      const header = (name: string): string | undefined => asText((headers as Record<string, unknown>)[name]);
      return {
        kind: 'answer',
        status,
        body,
        retryAfter: header('retry-after'),
        rateLimit: header('ratelimit-limit'),
        remaining: header('ratelimit-remaining'),
        requestId: requestIdOf(header('x-klaviyo-request-id') ?? header('x-request-id') ?? header('cf-ray')),
      };
    } catch (error) {
      // The library's error holds the request with the key: only its code goes on.
      return abort.signal.aborted ? { kind: 'timeout' } : failureOf(error);
    } finally {
      clearTimeout(timer);
    }
  }

  onApplicationShutdown(): void {
    this.httpAgent.destroy();
    this.httpsAgent.destroy();
  }

  private config(request: TransportRequest, signal: AbortSignal): AxiosRequestConfig<Buffer> {
    return {
      method: request.method,
      url: request.url,
      headers: { ...request.headers },
      ...(request.body === undefined ? {} : { data: request.body }),
      signal,
      responseType: 'stream',
      transformRequest: (data: unknown) => data,
      transformResponse: (data: unknown) => data,
      validateStatus: () => true,
      maxRedirects: 0,
      proxy: false,
      maxBodyLength: LARGEST_REQUEST,
      httpAgent: this.httpAgent,
      httpsAgent: this.httpsAgent,
    };
  }
}

function agentOptions(): { keepAlive: true; maxSockets: number; maxFreeSockets: number; timeout: number } {
  return { keepAlive: true, maxSockets: SOCKETS, maxFreeSockets: SOCKETS / 4, timeout: IDLE_SOCKET_MS };
}

function failureOf(error: unknown): TransportResult {
  const { code, syscall } = (isAxiosError(error) ? (error.cause ?? error) : error) as {
    code?: unknown;
    syscall?: unknown;
  };
  const reason = typeof code === 'string' && /^[A-Z0-9_]{2,50}$/.test(code) ? code : 'broken off';
  return { kind: 'network', sent: !(NEVER_SENT.has(reason) || syscall === 'connect'), reason };
}

function requestIdOf(value: string | undefined): string | undefined {
  return value !== undefined && /^[\w.:-]{1,100}$/.test(value) ? value : undefined;
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

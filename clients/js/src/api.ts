// The REST API: a request with a token, an answer or a VoiceplaneError. Knows no call and no media.
import { VoiceplaneError } from './errors';
import type { Problem } from './errors';
import { Tokens } from './token';
import { Backoff, sleep } from './waiting';

const ANSWER_WITHIN_MS = 10_000;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 2000;

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** For requests that sound waits for. */
export const HURRIED = { withinMs: 4000 } as const;

export interface RequestOptions {
  body?: object;
  signal?: AbortSignal;
  /** 10 s where it is not said: a request that hangs on a dead connection keeps a fresh one from being tried. */
  withinMs?: number;
  /** Goes on after the page was left. */
  keepalive?: boolean;
}

interface ErrorBody {
  error?: string;
  message?: string;
  details?: Problem[];
}

export class Api {
  readonly base: URL;

  constructor(
    url: string | URL,
    readonly tokens: Tokens,
  ) {
    this.base = new URL(url, globalThis.location.href);
    if (!this.base.pathname.endsWith('/')) this.base.pathname += '/'; // a proxy may have put the API below a path
  }

  /** `path` without its first slash. Throws VoiceplaneError; a token that the server refuses is asked for once more. */
  async request<Answer>(method: Method, path: string, options: RequestOptions = {}): Promise<Answer> {
    const token = await this.tokens.get();
    try {
      return await this.#once<Answer>(method, path, token, options);
    } catch (error) {
      if (!(error instanceof VoiceplaneError) || error.status !== 401) throw error;
      this.tokens.forget(token);
      const another = await this.tokens.get();
      if (another === token) throw error;
      return this.#once(method, path, another, options);
    }
  }

  /** The same, tried again for `forMs` while no answer comes or the server is busy: for what is safe to ask twice. */
  async patiently<Answer>(method: Method, path: string, options: RequestOptions, forMs: number): Promise<Answer> {
    const signal = options.signal ?? new AbortController().signal;
    const until = performance.now() + forMs;
    const backoff = new Backoff(FIRST_RETRY_MS, LONGEST_RETRY_MS);
    for (;;) {
      try {
        return await this.request<Answer>(method, path, options);
      } catch (error) {
        const transient = error instanceof VoiceplaneError && error.isTransient;
        const wait = Math.max(backoff.next(), transient ? (error.retryAfterMs ?? 0) : 0);
        if (!transient || performance.now() + wait > until) throw error;
        await sleep(wait, signal);
      }
    }
  }

  async #once<Answer>(method: Method, path: string, token: string, options: RequestOptions): Promise<Answer> {
    const { body, signal, withinMs = ANSWER_WITHIN_MS, keepalive = false } = options;
    signal?.throwIfAborted();
    const limit = new AbortController();
    const abort = () => limit.abort();
    const timer = setTimeout(abort, withinMs);
    signal?.addEventListener('abort', abort);
    try {
      const response = await fetch(new URL(path, this.base), {
        method,
        headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }) },
        body: body ? JSON.stringify(body) : null,
        signal: limit.signal,
        keepalive,
        cache: 'no-store',
        credentials: 'omit', // the token says who asks
      });
      return await answerOf<Answer>(response);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof VoiceplaneError) throw error;
      throw new VoiceplaneError('NETWORK', `${method} ${path} was not answered`, { cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }
}

async function answerOf<Answer>(response: Response): Promise<Answer> {
  const text = await response.text();
  const { status } = response;
  const answer = parsed(text);
  if (response.ok && answer !== undefined) return answer as Answer;
  const { error, message, details } = (answer ?? {}) as ErrorBody;
  const retryAfter = Number(response.headers.get('Retry-After'));
  const more = { status, details, retryAfterMs: retryAfter > 0 ? retryAfter * 1000 : undefined };
  if (!error) throw new VoiceplaneError('UNEXPECTED_ANSWER', `HTTP ${status} without a code`, more);
  throw new VoiceplaneError(error, message, more);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

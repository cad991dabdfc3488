// The one WebSocket: events in their order, each once, and a way back after every loss that misses none. Knows what a
// `seq` and a close code are, and nothing of calls.
import { VoiceplaneError, asError } from './errors';
import type { Api } from './api';
import type { Bookmark } from './bookmark';
import { Backoff } from './waiting';

const OPEN_WITHIN_MS = 4000;
const PONG_WITHIN_MS = 4000; // else the node is frozen, or the network gone: no browser tells either
const URGENT_PONG_WITHIN_MS = 3000; // during a call
const QUICK_PONG_WITHIN_MS = 2000; // where there is a reason to doubt
const LOOK_AGAIN_MS = 100; // for what has come and is not told yet, where the page itself stood still
const STEADY_AFTER_MS = 5000; // a socket that was up so long was no failed attempt
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 8000;
const LONGEST_URGENT_WAIT_MS = 1000;
const CLOSE_NORMALLY = 1000;

/** The server's close codes that ask for more than to come back (docs/api.md). */
const TOKEN_CODES = new Set([4001, 4401]);
const FINAL_CODES = new Map([
  [4003, 'REPLACED'],
  [4403, 'BANNED'],
] as const);

export interface ServerEvent {
  type: string;
  payload: Record<string, unknown>;
  seq?: number;
}

export interface SocketHooks {
  event: (event: ServerEvent) => void;
  /** It is open, for the first time or again. */
  up: () => void;
  /** It was lost, and is on its way back. */
  down: () => void;
  /** It will not come back. */
  over: (error: VoiceplaneError) => void;
}

export class Socket {
  #socket: WebSocket | null = null;
  #token = '';
  #seq: number | null = null;
  #wanted = false;
  #openedAt = 0;
  #unansweredSince: number | null = null;
  #paceMs: number;
  #isUrgent = false;
  #pacer: ReturnType<typeof setTimeout> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0; // so that a later one makes an earlier one void
  readonly #backoff = new Backoff(FIRST_WAIT_MS, LONGEST_WAIT_MS);

  constructor(
    private readonly api: Api,
    private readonly hooks: SocketHooks,
    paceMs: number,
    private readonly bookmark: Bookmark | null = null,
  ) {
    this.#paceMs = paceMs;
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Opens it, and keeps it open from then on. Throws where the first attempt fails, after which nothing goes on. */
  async open(): Promise<void> {
    this.#wanted = true;
    const attempt = ++this.#attempt;
    try {
      await this.#connect(attempt);
    } catch (error) {
      if (attempt === this.#attempt) this.close();
      throw error;
    }
  }

  close(): void {
    this.#wanted = false;
    this.#attempt += 1;
    clearTimeout(this.#retry);
    this.#drop();
  }

  /** How often it pings, in ms; `isUrgent`: whether it hurries to come back. */
  setPace(ms: number, isUrgent: boolean): void {
    this.#paceMs = ms;
    this.#isUrgent = isUrgent;
    if (this.isOpen) this.#pace(ms);
  }

  /** There is a reason to doubt it: it has to answer now, or comes back at once if it is away. */
  check(): void {
    if (!this.#wanted) return;
    if (this.isOpen) this.#ping(QUICK_PONG_WITHIN_MS);
    else if (!this.#socket && this.#retry !== undefined) this.#reconnect();
  }

  async #connect(attempt: number): Promise<void> {
    const token = (this.#token = await this.api.tokens.get());
    this.#require(attempt);
    const url = new URL('ws', this.api.base);
    url.protocol = url.protocol.replace('http', 'ws');
    this.#seq ??= this.bookmark?.seq ?? null;
    if (this.#seq !== null) url.searchParams.set('since', String(this.#seq));
    const socket = (this.#socket = new WebSocket(url, ['bearer', token]));
    const result = await opened(socket, OPEN_WITHIN_MS);
    this.#require(attempt);
    if (result === 'open') {
      this.#settle(socket);
      return;
    }
    this.#socket = null;
    if (result === 'refused') throw await this.#whyRefused();
    throw new VoiceplaneError('NETWORK', 'the WebSocket could not be opened in time');
  }

  #require(attempt: number): void {
    if (attempt !== this.#attempt) throw new VoiceplaneError('CLOSED');
  }

  /** A browser hides how a handshake was answered (HTML §9.3): the API says it, which has the same guard. */
  async #whyRefused(): Promise<VoiceplaneError> {
    try {
      await this.api.request('GET', 'calls?limit=1');
    } catch (error) {
      return asError(error, 'NETWORK');
    }
    return new VoiceplaneError('NETWORK', 'the WebSocket could not be opened');
  }

  #settle(socket: WebSocket): void {
    this.#openedAt = performance.now();
    this.#unansweredSince = null;
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = ({ code }) => this.#lost(code);
    this.#pace(this.#paceMs);
    this.hooks.up();
  }

  #take(data: unknown): void {
    this.#unansweredSince = null; // whatever comes proves that it lives
    clearTimeout(this.#deadline);
    const message = JSON.parse(String(data)) as ServerEvent & { requestId?: unknown };
    if (message.type === 'pong' || message.type === 'error' || message.requestId !== undefined) return;
    if (message.seq !== undefined) {
      if (this.#seq !== null && message.seq <= this.#seq) return;
      this.#seq = message.seq;
      this.bookmark?.keep(message.seq);
    }
    this.hooks.event(message);
  }

  #lost(code: number): void {
    this.#drop();
    if (!this.#wanted) return;
    const final = FINAL_CODES.get(code as 4003 | 4403);
    if (final) return this.#end(new VoiceplaneError(final, `the server closed the WebSocket with ${code}`));
    const steady = performance.now() - this.#openedAt > STEADY_AFTER_MS;
    if (steady) this.#backoff.reset();
    if (TOKEN_CODES.has(code)) this.api.tokens.forget(this.#token);
    this.hooks.down();
    this.#retryIn(steady || TOKEN_CODES.has(code) ? 0 : this.#waitMs());
  }

  #end(error: VoiceplaneError): void {
    this.close();
    this.hooks.over(error);
  }

  #waitMs(): number {
    return Math.min(this.#backoff.next(), this.#isUrgent ? LONGEST_URGENT_WAIT_MS : LONGEST_WAIT_MS);
  }

  #retryIn(ms: number): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#reconnect(), ms);
  }

  #reconnect(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const attempt = ++this.#attempt;
    this.#connect(attempt).catch((error: unknown) => {
      if (attempt !== this.#attempt) return;
      if (error instanceof VoiceplaneError && error.code === 'BANNED') this.#end(error);
      else this.#retryIn(Math.max(this.#waitMs(), (error as VoiceplaneError).retryAfterMs ?? 0));
    });
  }

  #pace(ms: number): void {
    clearTimeout(this.#pacer);
    this.#pacer = setTimeout(() => {
      this.#ping(this.#isUrgent ? URGENT_PONG_WITHIN_MS : PONG_WITHIN_MS);
      if (this.isOpen) this.#pace(this.#paceMs);
    }, ms);
  }

  #ping(withinMs: number): void {
    if (!this.isOpen) return;
    const now = performance.now();
    this.#unansweredSince ??= now;
    const left = this.#unansweredSince + withinMs - now;
    if (left <= 0) return this.#abandon(); // timers of a hidden page come late
    this.#socket?.send('{"type":"ping","payload":{}}');
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      this.#deadline = setTimeout(() => this.#abandon(), LOOK_AGAIN_MS);
    }, left);
  }

  /** It may take minutes until a browser calls a dead connection closed: it is not waited for. */
  #abandon(): void {
    this.#lost(0);
  }

  #drop(): void {
    clearTimeout(this.#pacer);
    clearTimeout(this.#deadline);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close(CLOSE_NORMALLY);
  }
}

type Opening = 'open' | 'refused' | 'late';

function opened(socket: WebSocket, withinMs: number): Promise<Opening> {
  return new Promise((done) => {
    const settled = new AbortController();
    const settle = (result: Opening) => () => {
      clearTimeout(timer);
      settled.abort();
      if (result !== 'open') socket.close();
      done(result);
    };
    const timer = setTimeout(settle('late'), withinMs);
    socket.addEventListener('open', settle('open'), { signal: settled.signal });
    socket.addEventListener('close', settle('refused'), { signal: settled.signal });
  });
}

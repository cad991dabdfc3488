// What can fail, each with a code that stays what it is. A server's refusal keeps the server's own code.

export type ErrorCode =
  // The server's, as in docs/api.md, of which these are the ones that a client meets.
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'BANNED'
  | 'BLOCKED'
  | 'BAD_REQUEST'
  | 'INSUFFICIENT_POINTS'
  | 'OTOMO_NOT_FOUND'
  | 'OTOMO_OFFLINE'
  | 'OTOMO_BUSY'
  | 'CALLER_BUSY'
  | 'CALL_NOT_FOUND'
  | 'ROOM_NOT_FOUND'
  | 'INVALID_CALL_STATE'
  | 'CALL_LIMIT_EXCEEDED'
  | 'NOT_ENABLED'
  | 'SUPERVISOR_SPEAKS'
  | 'SUPERVISION_LIMIT_EXCEEDED'
  | 'SUPERVISION_NOT_FOUND'
  | 'RATE_LIMITED'
  | 'WORKER_UNAVAILABLE'
  | 'DRAINING'
  | 'OVERLOADED'
  | 'DATABASE_UNAVAILABLE'
  // Ours.
  | 'NETWORK' // no answer came
  | 'UNEXPECTED_ANSWER' // whatever answered is no voiceplane: a proxy, an error page
  | 'NOT_SUPPORTED' // this server does not know that yet
  | 'TOKEN_FAILED' // `token` threw, or gave no token
  | 'REPLACED' // the same person has opened more sockets than one may have
  | 'CLOSED' // `disconnect()` was called
  | 'CALL_ENDED' // the call is over
  | 'MICROPHONE_DENIED'
  | 'MICROPHONE_MISSING'
  | 'MICROPHONE_BUSY'
  | 'INSECURE_PAGE' // browsers give a microphone to https: and to localhost alone
  | 'BROWSER_UNSUPPORTED'
  | 'FLOOD' // the server has paused a microphone that sent too much
  | 'MEDIA_FAILED'; // the browser refused what it should send or receive

export interface Problem {
  /** Where in the body, as in `rtpParameters.codecs.0`. */
  path: string;
  /** In English, for developers. */
  problem: string;
}

interface More {
  status?: number;
  retryAfterMs?: number | undefined;
  details?: readonly Problem[] | undefined;
  cause?: unknown;
}

/** Every failure of this library. `code` is what to decide by; `message` is for people, the server's is Japanese. */
export class VoiceplaneError extends Error {
  override readonly name = 'VoiceplaneError';
  readonly code: ErrorCode | (string & {});
  /** Of the HTTP answer; 0 where there was none. */
  readonly status: number;
  /** How long the server asks to wait, where it does. */
  readonly retryAfterMs: number | undefined;
  /** What is wrong with a request, for `BAD_REQUEST`. */
  readonly details: readonly Problem[];

  constructor(code: ErrorCode | (string & {}), message: string = code, more: More = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.status = more.status ?? 0;
    this.retryAfterMs = more.retryAfterMs;
    this.details = more.details ?? [];
  }

  /** Whether the same request may succeed a moment later. */
  get isTransient(): boolean {
    return this.status === 429 ? this.code !== 'CALL_LIMIT_EXCEEDED' : this.status >= 500 || this.code === 'NETWORK';
  }
}

/** Whatever was thrown, as one of ours; `code` is for what is not one yet. */
export function asError(thrown: unknown, code: ErrorCode = 'MEDIA_FAILED'): VoiceplaneError {
  if (thrown instanceof VoiceplaneError) return thrown;
  return new VoiceplaneError(code, thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}

export function hasCode(thrown: unknown, ...codes: ErrorCode[]): thrown is VoiceplaneError {
  return thrown instanceof VoiceplaneError && (codes as string[]).includes(thrown.code);
}

// Who asks: the token that the page gives, asked for again whenever one is needed. Believes nothing of it but when it
// expires and whom it names; whether it is good is the server's to say.
import { VoiceplaneError } from './errors';

/** A JWT, or what gives one. Only a function can give a fresh one when the first has expired. */
export type Token = string | (() => string | Promise<string>);
export type Role = 'user' | 'otomo';

export interface Identity {
  id: string;
  role: Role;
}

const TOKEN = /^[\w.~+/-]+=*$/; // RFC 6750 §2.1; a WebSocket can't carry any other (RFC 6455 §4.1)
const EARLY_MS = 10_000; // a token that is about to expire is none: the request takes time, and clocks differ

interface Claims {
  sub?: string;
  userId?: string;
  role?: string;
  exp?: number;
}

export class Tokens {
  #token: string | null = null;
  #claims: Claims = {};
  #asking: Promise<string> | null = null;

  constructor(
    private readonly source: Token,
    private readonly now: () => number = Date.now,
  ) {}

  /** Whom the last token names. */
  get identity(): Identity {
    return {
      id: this.#claims.sub ?? this.#claims.userId ?? '',
      role: this.#claims.role === 'otomo' ? 'otomo' : 'user',
    };
  }

  /** Throws TOKEN_FAILED where the page gives none. */
  get(): Promise<string> {
    if (this.#token !== null && !this.#isOld) return Promise.resolve(this.#token);
    return (this.#asking ??= this.#ask().finally(() => (this.#asking = null)));
  }

  /** The next one has to be another one than `refused`. */
  forget(refused: string): void {
    if (this.#token === refused && typeof this.source === 'function') this.#token = null;
  }

  get #isOld(): boolean {
    const { exp } = this.#claims;
    return typeof this.source === 'function' && exp !== undefined && exp * 1000 - this.now() < EARLY_MS;
  }

  async #ask(): Promise<string> {
    let token: unknown;
    try {
      token = typeof this.source === 'function' ? await this.source() : this.source;
    } catch (error) {
      throw new VoiceplaneError('TOKEN_FAILED', 'the page could not get a token', { cause: error });
    }
    if (typeof token !== 'string' || !TOKEN.test(token))
      throw new VoiceplaneError('TOKEN_FAILED', 'the page gave no token');
    this.#claims = claimsOf(token);
    return (this.#token = token);
  }
}

/** The payload of a JWT (RFC 7519 §7.2); nothing where it is none, which is the server's to refuse. */
function claimsOf(token: string): Claims {
  try {
    const part = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) as Claims;
  } catch {
    return {};
  }
}

// Who this window is, and the REST API as that party.
import { request } from '../shared/request.js';

const RENEW_BEFORE_MS = 5 * 60 * 1000; // of an hour

// Who this window is: one party of a pair, with a token that is renewed before it expires.
export class Session {
  constructor(role, pair) {
    Object.assign(this, { role, pair });
  }

  async open() {
    const body = { party: this.role, ...(this.pair && { pair: this.pair }) };
    Object.assign(this, await patiently(() => request('POST', 'demo/session', { body })));
  }

  async freshToken() {
    if (Date.parse(this.expiresAt) - Date.now() < RENEW_BEFORE_MS) await this.open();
    return this.token;
  }

  async ask(method, path, body) {
    return request(method, path, { token: await this.freshToken(), body });
  }
}

// Two windows that open at once are no misuse: wait as long as the server says, a few times.
async function patiently(ask, tries = 5) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (error.code !== 'RATE_LIMITED' || (tries -= 1) === 0) throw error;
      await new Promise((done) => setTimeout(done, Math.max(1, error.retryAfter) * 1000));
    }
  }
}

// Who this window is: one party of a pair, with a token that the server gives to whoever opens the demo.
import { request } from './request.js';

export class Session {
  constructor(role, pair) {
    Object.assign(this, { role, pair });
  }

  async open() {
    const body = { party: this.role, ...(this.pair && { pair: this.pair }) };
    Object.assign(this, await patiently(() => request('POST', 'demo/session', { body })));
  }

  // A fresh one, whenever the client needs one.
  async freshToken() {
    await this.open();
    return this.token;
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

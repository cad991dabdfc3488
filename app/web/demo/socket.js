// The WebSocket: commands with answers, events in order, and a way back after every loss without missing one.
import { Refused } from '../shared/request.js';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const ANSWER_WITHIN_MS = 10_000;
const TOO_MANY_SOCKETS = 4003; // the server's close code that asks not to come back

export class Socket {
  // `heard(type, payload)` gets every event, `changed(state)` gets "up", "down" or "replaced".
  constructor(session, heard, changed) {
    Object.assign(this, {
      session,
      heard,
      changed,
      seq: session.seq,
      wait: FIRST_WAIT_MS,
      commands: new Map(),
      last: 0,
    });
    addEventListener('online', () => this.again());
  }

  async connect() {
    const url = new URL(`ws?since=${this.seq}`, location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const token = await this.session.freshToken().catch(() => this.session.token);
    this.socket = new WebSocket(url, ['bearer', token]);
    this.socket.onopen = () => {
      this.wait = FIRST_WAIT_MS;
      this.changed('up');
    };
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    this.socket.onclose = ({ code }) => this.lost(code);
  }

  take({ type, payload, seq, requestId }) {
    if (requestId !== undefined) {
      this.commands.get(requestId)?.(type, payload);
    } else if (seq > this.seq) {
      this.seq = seq;
      this.heard(type, payload);
    }
  }

  lost(code) {
    this.socket = null;
    for (const settle of [...this.commands.values()]) settle('error', { code: 'NETWORK' });
    if (code === TOO_MANY_SOCKETS) return this.changed('replaced');
    this.changed('down');
    this.timer = setTimeout(() => this.again(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
  }

  again() {
    clearTimeout(this.timer);
    if (!this.socket) this.connect();
  }

  command(type, payload) {
    return new Promise((done, failed) => {
      const requestId = `c${(this.last += 1)}`;
      const settle = (answer, { code, message, ...rest }) => {
        clearTimeout(timer);
        this.commands.delete(requestId);
        if (answer === 'error') failed(new Refused(0, { error: code, message }));
        else done(rest);
      };
      const timer = setTimeout(() => settle('error', { code: 'NETWORK' }), ANSWER_WITHIN_MS);
      this.commands.set(requestId, settle);
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type, payload, requestId }));
      else settle('error', { code: 'NETWORK' });
    });
  }
}

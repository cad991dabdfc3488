// The admin's token, which this tab alone keeps, and requests with it.
import { words } from './format.js';
import { download, request } from './request.js';

const KEPT = 'voiceplane-admin-token';
const ANSWER_WITHIN_MS = 8000;

export const session = {
  get token() {
    return sessionStorage.getItem(KEPT);
  },

  // Keeps a token that proves to be an admin's. Throws what the server says otherwise.
  async signIn(token) {
    await request('GET', 'workers', { token });
    sessionStorage.setItem(KEPT, token);
  },

  signOut() {
    sessionStorage.removeItem(KEPT);
  },

  ask(method, path, body) {
    return request(method, path, { token: this.token, body, signal: AbortSignal.timeout?.(ANSWER_WITHIN_MS) });
  },

  file(path) {
    return download(path, { token: this.token });
  },
};

const SENTENCES = {
  NETWORK: 'The server does not answer.',
  UNAUTHORIZED: 'The server does not accept this token: it is wrong, or it has expired.',
  FORBIDDEN: 'This token is good, but its role is not admin.',
  CALL_NOT_FOUND: 'There is no such call.',
  WEBHOOK_NOT_FOUND: 'That webhook is gone.',
  WEBHOOK_DISABLED: 'That webhook is disabled: nothing is sent to it.',
  DELIVERY_NOT_FOUND: 'That delivery is gone.',
  WALLET_NOT_FOUND: 'That user has no wallet yet.',
  INSUFFICIENT_POINTS: 'The wallet does not hold so many points of that kind.',
  IDEMPOTENCY_KEY_REUSED: 'That was done already, in another way.',
  CUT_OFF: 'The file was cut off. Try again.',
  NODE_NOT_FOUND: 'That node is gone.',
  INVALID_CALL_STATE: 'The call is over already.',
  RECORDING_NOT_FOUND: 'That recording is gone.',
  RECORDING_NOT_READY: 'That recording is not stored yet.',
  RECORDING_LIMIT_EXCEEDED: 'As many calls are recorded as may be.',
  STORAGE_UNAVAILABLE: 'The storage of recordings does not answer.',
  NOT_ENABLED: 'The settings of this server have it off.',
  SUPERVISOR_SPEAKS: 'Another admin speaks in that call.',
  SUPERVISION_LIMIT_EXCEEDED: 'As many admins listen in that call as may.',
  MICROPHONE_DENIED: 'The browser does not give the microphone.',
  MICROPHONE_MISSING: 'There is no microphone.',
  MICROPHONE_BUSY: 'The microphone can not be opened: another program may have it.',
  INSECURE_PAGE: 'A page needs https: for sound.',
  DRAINING: 'The node stops already; that cannot be taken back.',
  DATABASE_UNAVAILABLE: 'The database does not answer.',
  WORKER_UNAVAILABLE: 'The media server does not answer.',
};

export function sentence(error) {
  if (error.name === 'TimeoutError') return SENTENCES.NETWORK;
  const details = error.answer?.details ?? [];
  if (error.code === 'BAD_REQUEST' && details.length) return `That can’t be: ${details.map(problem).join('; ')}.`;
  return SENTENCES[error.code] ?? `The server refused: ${error.code ?? error.message}.`;
}

// `userId` and `must be ...`: what the API says to developers is plain English, too.
const problem = ({ path, problem: text }) => (path ? `${words(path)} ${text}` : text);

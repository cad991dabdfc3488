// One party's phone: what happens when, and what is true now. Draws nothing; whoever draws is told of each change.
import { Media } from './media.js';
import { Socket } from './socket.js';
import { awake, microphone, NoMicrophone, testTone, wake } from './sound.js';
import { SoundWatch } from './watch.js';

const LIVE = ['requesting', 'ringing', 'matched', 'connecting', 'talking'];

export class Phone {
  // `changed(state)` after every change, `told(type, payload)` for every event, `heard(track, receiver)` for the other's sound.
  constructor(session, { changed, told, heard }) {
    Object.assign(this, { session, changed, told, heard });
    this.state = { phase: 'starting', role: session.role, socket: 'up', otomo: 'offline', callId: null };
  }

  set(changes) {
    Object.assign(this.state, changes);
    this.changed(this.state);
  }

  async start() {
    await this.session.open();
    const { otomoStatus, balance, pricePerMinute, unitSeconds } = this.session;
    this.set({ otomo: otomoStatus, balance, price: pricePerMinute, unit: unitSeconds });
    this.socket = new Socket(
      this.session,
      (type, payload) => this.take(type, payload),
      (socket) => this.set({ socket }),
    );
    await this.socket.connect();
    await this.lookForCall();
  }

  // A page that was reloaded may still be in a call: the server knows, and says so.
  async lookForCall() {
    const [call] = (await this.session.ask('GET', 'calls?limit=1')).calls;
    if (!call || !LIVE.includes(call.state)) return this.set({ phase: 'ready' });
    const { callId, connectedAt, billedPoints: charged } = call;
    this.set({ callId, charged, connectedAt: connectedAt && Date.parse(connectedAt), price: call.pricePerMinute });
    const unanswered = { user: 'ringing', otomo: 'incoming' }[this.state.role];
    this.set({ phase: call.acceptedAt ? 'rejoin' : unanswered });
  }

  take(type, payload) {
    const { callId, otomoId } = payload;
    if (type === 'otomo_status' && otomoId !== this.session.otomoId) return; // of all otomos; one is ours
    this.told(type, payload);
    if (callId === undefined || callId === this.state.callId || type === 'incoming_call') EVENTS[type]?.(this, payload);
  }

  // Everything that a person starts comes through here: one thing at a time, and a failure is shown where it happened.
  async act(what) {
    if (this.acting) return;
    this.acting = true;
    this.set({ problem: null });
    try {
      wake();
      await what();
    } catch (error) {
      this.fail(error);
    } finally {
      this.acting = false;
    }
  }

  fail(error) {
    if (!(error instanceof NoMicrophone))
      this.set({ problem: error, ...(error.code === 'OTOMO_OFFLINE' && { otomo: 'offline' }) });
    else if (this.state.phase === 'microphone') this.set({ phase: 'refused', why: error.why }); // else the call is over
  }

  // Runs `next` with a track to send. Where there is no microphone `next` waits for what the person decides.
  async withSound(next, { tone = false } = {}) {
    const { phase } = this.state;
    this.next = next;
    if (!tone) this.set({ phase: 'microphone', before: phase === 'refused' ? this.state.before : phase });
    const track = tone ? testTone() : await microphone();
    if (!tone && this.state.phase !== 'microphone') return track.stop(); // the call ended while the browser asked
    this.track?.stop();
    Object.assign(this, { track, tone });
    this.set({ phase: this.state.before });
    try {
      await next();
    } catch (error) {
      track.stop(); // no call, no microphone
      throw error;
    }
  }

  call() {
    return this.withSound(async () => {
      const { callId } = await this.socket.command('call_request', { otomoId: this.session.otomoId });
      this.set({ ...NEW_CALL, callId, phase: 'ringing', price: this.session.pricePerMinute });
    });
  }

  accept() {
    return this.withSound(async () => {
      await this.socket.command('call_accept', { callId: this.state.callId });
      await this.join();
    });
  }

  rejoin() {
    return this.withSound(() => this.join());
  }

  tryAgain() {
    return this.withSound(this.next);
  }

  useTone() {
    return this.withSound(this.next, { tone: true });
  }

  async join() {
    this.set({ phase: this.state.connectedAt ? 'talking' : 'joining' });
    const media = (this.media = new Media(this.session, this.state.callId, this.heard));
    try {
      this.set({ theirMuted: await media.join(this.track) });
    } catch (error) {
      if (this.media !== media) return; // the call ended meanwhile, which is said already
      await this.hangUp().catch(() => {});
      throw error;
    }
    if (this.media !== media) return;
    this.set({ sending: true });
    this.watch = new SoundWatch(
      media,
      () => ({ muted: this.state.muted, theirMuted: this.state.theirMuted, toneless: this.tone && !awake() }),
      (fault) => this.set({ fault }),
    );
  }

  async hangUp() {
    const { phase, role, callId } = this.state;
    const unanswered = { user: 'call_cancel', otomo: 'call_reject' }[role];
    await this.socket.command(['ringing', 'incoming'].includes(phase) ? unanswered : 'call_end', { callId });
  }

  async mute() {
    const muted = !this.state.muted;
    await this.media.mute(muted);
    this.set({ muted });
  }

  end(outcome) {
    this.watch?.stop();
    this.media?.close();
    this.track?.stop();
    this.media = this.track = null;
    this.set({ ...NEW_CALL, ...outcome, phase: 'ended' });
  }
}

const NEW_CALL = {
  callId: null,
  connectedAt: null,
  charged: 0,
  ticks: 0,
  muted: false,
  theirMuted: false,
  sending: false,
  fault: null,
  outcome: null,
  deadlineAt: null,
};

const EVENTS = {
  otomo_status: (phone, { status }) => phone.set({ otomo: status }),
  incoming_call(phone, { callId, pricePerMinute: price }) {
    phone.set({ ...NEW_CALL, callId, price, phase: 'incoming', problem: null });
  },
  call_accepted(phone) {
    if (phone.session.role === 'otomo') {
      if (!phone.track) phone.set({ phase: 'elsewhere' }); // another window has answered
    } else if (phone.track) phone.join().catch((error) => phone.fail(error));
    else phone.set({ phase: 'rejoin' }); // reloaded while it rang
  },
  producer_added(phone, { producerId }) {
    const { media } = phone;
    media?.receive(producerId).catch((error) => {
      if (phone.media === media) phone.fail(error); // else the call ended meanwhile, which is said already
    });
  },
  producer_paused(phone, { role }) {
    if (role === phone.session.role) phone.set({ problem: { code: 'FLOOD' } });
    else phone.set({ theirMuted: true });
  },
  producer_resumed: (phone) => phone.set({ theirMuted: false }),
  call_connected(phone) {
    const { phase } = phone.state;
    phone.set({ connectedAt: Date.now(), phase: phone.media ? 'talking' : phase === 'rejoin' ? phase : 'elsewhere' });
  },
  call_tick(phone, { totalChargedPoints: charged, chargedPoints, tickNumber: ticks, userBalance }) {
    phone.set({ charged, ticks, lastCharge: chargedPoints, ...(userBalance != null && { balance: userBalance }) });
  },
  wallet_update: (phone, { balance }) => phone.set({ balance }),
  node_draining: (phone, { deadlineAt }) => phone.set({ deadlineAt }),
  call_end(phone, { reason, durationSeconds, totalChargedPoints }) {
    const connected = Boolean(phone.state.connectedAt);
    phone.end({ outcome: { reason, connected, seconds: durationSeconds, points: totalChargedPoints } });
  },
};

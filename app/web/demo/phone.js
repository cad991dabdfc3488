// One party's phone: what happens when, and what is true now. Draws nothing; whoever draws is told of each change. Sockets,
// media and microphones are the client's.
import { Voiceplane } from '../../client/voiceplane.js'; // where the server has it: this file is at demo/assets/
import { awake, testTone, wake } from './sound.js';
import { SoundWatch } from './watch.js';

const SOCKETS = { connected: 'up', reconnecting: 'down' };
const PHASES = { ringing: 'ringing', connecting: 'joining', talking: 'talking', interrupted: 'talking' };
const MICROPHONE_FAILURES = {
  MICROPHONE_DENIED: 'denied',
  MICROPHONE_MISSING: 'missing',
  MICROPHONE_BUSY: 'busy',
  INSECURE_PAGE: 'insecure',
};

export class Phone {
  // `changed(state)` after every change, `told(type, payload)` for every event.
  constructor(session, { changed, told }) {
    Object.assign(this, { session, changed, told, call: null });
    this.state = { phase: 'starting', role: session.role, socket: 'up', otomo: 'offline', callId: null };
  }

  set(changes) {
    Object.assign(this.state, changes);
    this.changed(this.state);
  }

  async start() {
    await this.session.open();
    const { otomoStatus, balance, pricePerMinute, unitSeconds, token, otomoId } = this.session;
    this.set({ otomo: otomoStatus, balance, price: pricePerMinute, unit: unitSeconds });
    let first = token;
    const fresh = () => {
      const given = first ?? this.session.freshToken();
      first = null;
      return given;
    };
    this.client = new Voiceplane({ url: new URL('.', location.href), token: fresh });
    this.client.on('event', ({ type, payload }) => this.take(type, payload));
    this.client.on('state', ({ state, error }) => {
      if (error?.code === 'REPLACED') this.set({ socket: 'replaced' });
      else if (SOCKETS[state]) this.set({ socket: SOCKETS[state] });
    });
    this.client.on('incoming', (call) => this.ring(call));
    this.client.on('wallet', ({ balance: left, reason }) => {
      const isMore = reason !== 'call_tick' && left > this.state.balance;
      this.set({ balance: left, ...(isMore && { ending: null }) }); // the end has moved: it is told again when it is near
    });
    this.client.on('otomos', (one) => {
      const ours = one.otomoId === otomoId && { otomo: one.status }; // of all otomos one is ours
      this.set({ otomos: new Map(this.client.otomos), ...ours });
    });
    await this.client.connect();
    if (this.session.role === 'otomo') await this.client.setStatus('available'); // as the switch begins
    await this.lookForCall();
  }

  // A page that was reloaded may still be in a call: the server knows, and says so.
  async lookForCall() {
    const call = await this.client.current();
    if (!call) return this.set({ phase: 'ready' });
    if (call === this.call) return; // it rings already
    this.follow(call);
    this.set({ phase: call.state === 'ringing' ? 'ringing' : 'rejoin' });
  }

  take(type, payload) {
    const isOfAnother = type === 'otomo_status' && payload.otomoId !== this.session.otomoId;
    if (!isOfAnother) this.told(type, payload);
    const isOver = type === 'call_end' && payload.callId === this.state.callId;
    if (isOver && this.state.phase === 'elsewhere') this.end({ ...payload, wasConnected: true });
  }

  ring(call) {
    this.follow(call);
    this.set({ phase: 'incoming', problem: null });
  }

  // Its phase is set next.
  follow(call) {
    this.call = call;
    const { callId, pricePerMinute: price, connectedAt } = call;
    Object.assign(this.state, NEW_CALL, { callId, price, connectedAt: connectedAt?.getTime() ?? null })
    for (const [name, does] of Object.entries(EVENTS)) call.on(name, (payload) => does(this, payload));
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
    const why = MICROPHONE_FAILURES[error.code];
    if (error.code === 'CALL_ENDED') return; // that is said already
    if (!why) this.set({ problem: error, ...(error.code === 'OTOMO_OFFLINE' && { otomo: 'offline' }) });
    else if (this.state.phase === 'microphone') this.set({ phase: 'refused', why }); // else the call is over
  }

  // Runs `next` with the browser's microphone or a tone. Where there is none `next` waits for what the person decides.
  async withSound(next, microphone) {
    const { phase } = this.state;
    const before = phase === 'refused' ? this.state.before : phase;
    Object.assign(this, { next, tone: microphone ?? null });
    this.set({ phase: 'microphone', before });
    try {
      await next({ microphone });
    } catch (error) {
      microphone?.stop(); // it is this page's own
      if (!MICROPHONE_FAILURES[error.code] && this.state.phase === 'microphone') this.set({ phase: before });
      throw error;
    }
    if (this.state.phase !== 'ended') this.set({ sending: this.call.state !== 'ringing' });
  }

  ask() {
    return this.withSound(async (options) => {
      this.follow(await this.client.call(this.session.otomoId, options));
      this.set({ phase: PHASES[this.call.state], price: this.session.pricePerMinute });
      this.listen();
    });
  }

  accept() {
    return this.withSound(async (options) => {
      await this.call.accept(options);
      this.listen();
    });
  }

  rejoin() {
    return this.withSound(async (options) => {
      await this.call.join(options);
      this.set({ phase: PHASES[this.call.state], theirMuted: this.call.isRemoteMuted });
      this.listen();
    });
  }

  tryAgain() {
    return this.withSound(this.next);
  }

  useTone() {
    return this.withSound(this.next, testTone());
  }

  listen() {
    const { call } = this;
    this.watch = new SoundWatch(
      call,
      () => this.tone && !awake(),
      (fault) => {
        if (this.call === call && call.state !== 'ringing') this.set({ fault });
      },
    );
  }

  hangUp() {
    return this.call.hangUp();
  }

  hear() {
    return this.call.startAudio();
  }

  async mute() {
    const muted = !this.state.muted;
    await this.call.mute(muted);
    this.set({ muted });
  }

  async setAway() {
    const away = !this.state.away;
    await this.client.setStatus(away ? 'away' : 'available');
    this.set({ away });
  }

  end({ reason, wasConnected: connected, durationSeconds: seconds, totalChargedPoints: points }) {
    this.watch?.stop();
    this.tone?.stop();
    this.call = this.watch = this.tone = null;
    this.set({ ...NEW_CALL, outcome: { reason, connected, seconds, points }, phase: 'ended' });
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
  blocked: false,
  fault: null,
  outcome: null,
  deadlineAt: null,
  ending: null,
};

const EVENTS = {
  accepted(phone) {
    if (phone.state.phase !== 'microphone' || phone.call.direction === 'incoming')
      phone.set({ phase: phone.call.isJoined ? 'joining' : 'rejoin', sending: phone.call.isJoined }); // or reloaded while it rang
  },
  connected(phone) {
    phone.set({ connectedAt: Date.now(), ...(phone.call.isJoined && { phase: 'talking' }) });
  },
  tick(phone, { totalChargedPoints: charged, chargedPoints, tickNumber: ticks, userBalance }) {
    phone.set({ charged, ticks, lastCharge: chargedPoints, ...(userBalance != null && { balance: userBalance }) });
  },
  ending(phone, { reason, at, pointsNeeded = 0 }) {
    phone.set({ ending: { reason, at: Date.parse(at), pointsNeeded } });
  },
  resumed(phone, { interruptedSeconds }) {
    const { ending } = phone.state; // the clock stood, and so the end is as much later
    if (ending) phone.set({ ending: { ...ending, at: ending.at + interruptedSeconds * 1000 } });
  },
  remotemuted: (phone, { muted }) => phone.set({ theirMuted: muted }),
  playback: (phone, { blocked }) => phone.set({ blocked }),
  draining: (phone, { deadlineAt }) => phone.set({ deadlineAt }),
  error: (phone, error) => phone.fail(error),
  ended(phone, summary) {
    if (summary.reason === 'elsewhere') phone.set({ phase: 'elsewhere', sending: false });
    else phone.end(summary);
  },
};

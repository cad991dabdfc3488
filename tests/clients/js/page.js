// A page on the client, as one writes it: tests drive it through `window.party`, and read from it what it was told.
import { Voiceplane, VoiceplaneError } from '/client/voiceplane.js';

const CALL_EVENTS = [
  ...['state', 'accepted', 'connected', 'tick', 'ending', 'interrupted', 'resumed', 'moved', 'draining', 'quality'],
  ...['remotemuted', 'silentmicrophone', 'microphone', 'playback', 'error', 'ended'],
];

// Firefox answers nothing, ever, where the connection is closed meanwhile.
async function statsOf(peer) {
  let timer;
  const nothing = new Promise((done) => {
    timer = setTimeout(() => done(new Map()), 1000);
  });
  try {
    return await Promise.race([peer.getStats(), nothing]);
  } finally {
    clearTimeout(timer);
  }
}

class Party {
  told = []; // [name, payload, when]
  asked = 0; // how often the client wanted a token
  call = null;

  // `token` may be changed later; so may `onIncoming`.
  async start(token, options = {}) {
    this.token = token;
    const source = () => {
      this.asked += 1;
      return this.token;
    };
    this.vp = new Voiceplane({ url: location.origin, token: source, ...options });
    for (const name of ['state', 'otomos', 'wallet']) this.vp.on(name, (payload) => this.note(`vp.${name}`, payload));
    this.vp.on('incoming', (call) => {
      this.note('incoming', { callId: call.callId });
      this.follow(call);
    });
    await this.vp.connect();
  }

  follow(call) {
    this.call = call;
    for (const name of CALL_EVENTS) call.on(name, (payload) => this.note(name, payload));
    return call.callId;
  }

  note(name, payload) {
    const told = payload instanceof Error ? { code: payload.code } : payload;
    this.told.push([name, told, performance.now()]);
  }

  async ring(otomoId, options) {
    return this.follow(await this.vp.call(otomoId, options));
  }

  async join(callId, options) {
    return this.follow(await this.vp.join(callId, options));
  }

  // After a reload.
  async comeBack() {
    const call = await this.vp.current();
    if (!call) return null;
    this.follow(call);
    await call.join();
    return call.callId;
  }

  payloads(name) {
    return this.told.filter(([one]) => one === name).map(([, payload]) => payload);
  }

  // The code of what `does` throws, or null.
  async refusal(does) {
    try {
      await does();
      return null;
    } catch (error) {
      if (!(error instanceof VoiceplaneError)) throw error;
      return error.code;
    }
  }

  // What has come, by what the browser decoded: over the connections that are open.
  async heard() {
    const sum = { packets: 0, energy: 0, seconds: 0 };
    for (const peer of peers.all.filter((one) => one.connectionState !== 'closed')) {
      for (const one of (await statsOf(peer)).values()) {
        if (one.type !== 'inbound-rtp' || one.kind !== 'audio') continue;
        sum.packets += one.packetsReceived;
        sum.energy += one.totalAudioEnergy ?? 0;
        sum.seconds += one.totalSamplesDuration ?? 0;
      }
    }
    return sum;
  }

  // Once so many packets more have come, and are loud: W3C webrtc-stats has energy as a sum of squares by time. Returns how
  // long that took, in ms; throws after `withinMs`.
  async hears(packets, level, withinMs) {
    const begun = performance.now();
    let before = await this.heard();
    for (;;) {
      await new Promise((done) => setTimeout(done, 50));
      const now = await this.heard();
      if (now.packets < before.packets) before = { packets: 0, energy: 0, seconds: 0 }; // another connection counts
      const loudness = ((now.energy - before.energy) / (now.seconds - before.seconds || 1)) ** 0.5;
      const ms = performance.now() - begun;
      if (now.packets - before.packets >= packets && loudness >= level) return ms;
      if (ms > withinMs) throw new Error(`${now.packets - before.packets} packets as loud as ${loudness}`);
    }
  }

  // The report, with the code of each failure in its place.
  async preflight() {
    const report = await Voiceplane.preflight({ url: location.origin, token: this.token });
    const plain = ([name, found]) => [name, found instanceof VoiceplaneError ? found.code : found];
    return Object.fromEntries(Object.entries(report).map(plain));
  }

  // A track that gives nothing but zeros.
  silence() {
    const engine = new AudioContext();
    const zeros = new ConstantSourceNode(engine, { offset: 0 });
    const sink = new MediaStreamAudioDestinationNode(engine);
    zeros.connect(sink);
    zeros.start();
    return sink.stream.getAudioTracks()[0];
  }
}

window.party = new Party();

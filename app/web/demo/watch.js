// Whether sound flows, both ways: asked of the client every second, and told where it has not for five.
const LOOK_EVERY_MS = 1000; // within which even a silent track (DTX) sends a packet or two
const PATIENCE_MS = 5000;

export class SoundWatch {
  // `isToneless()` says whether a test tone has no engine to make it. `told(fault)` gets what is wrong, as `{ code, ... }`, and
  // null when nothing is any more.
  constructor(call, isToneless, told) {
    Object.assign(this, { call, isToneless, told, before: null, fault: null, since: performance.now() });
    this.timer = setTimeout(() => this.look(), LOOK_EVERY_MS);
  }

  async look() {
    const fault = await this.find().catch(() => null); // a room that was left meanwhile has no statistics
    if (this.stopped) return;
    if (fault?.code !== this.fault?.code) this.since = performance.now() - LOOK_EVERY_MS;
    this.fault = fault;
    if (!fault) this.told(null);
    else if (performance.now() - this.since >= PATIENCE_MS) this.told(fault);
    this.timer = setTimeout(() => this.look(), LOOK_EVERY_MS);
  }

  // The first thing that is wrong: what comes later can't be right before it is.
  async find() {
    const { before, call } = this;
    const now = (this.before = await call.stats());
    if (!now) return null;
    const grew = (counter) => now[counter].packets !== (before?.[counter].packets ?? 0); // another room begins at 0
    if (now.connection.sending !== 'connected') return unreached(now);
    if (this.isToneless()) return { code: 'toneless' };
    if (!call.isMuted && !grew('sent')) return { code: 'unsent' };
    if (!call.remoteStream.getTracks().length) return { code: 'absent' };
    if (now.connection.receiving !== 'connected') return unreached(now);
    return call.isRemoteMuted || grew('received') ? null : { code: 'unheard' };
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }
}

function unreached({ serverAddresses: places }) {
  const loopback = places.every((place) => /^(127\.|\[?::1\b)/.test(place));
  return { code: 'unreached', places, loopback: loopback && navigator.userAgent.includes('Firefox') };
}

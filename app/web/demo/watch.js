// Whether sound flows, both ways: asked of the browser every second, and told where it has not for five.
const LOOK_EVERY_MS = 1000; // within which even a silent track (DTX) sends a packet or two
const PATIENCE_MS = 5000;

export class SoundWatch {
  // `quiet()` gives what is not to be looked for: `{ muted, theirMuted, toneless }`. `told(fault)` gets what is wrong, as
  // `{ code, ... }`, and null when nothing is any more.
  constructor(media, quiet, told) {
    Object.assign(this, { media, quiet, told, counts: new Map(), fault: null, since: performance.now() });
    this.timer = setTimeout(() => this.look(), LOOK_EVERY_MS);
  }

  async look() {
    const fault = await this.find().catch(() => null); // a transport that was closed meanwhile has no statistics
    if (this.stopped) return;
    if (fault?.code !== this.fault?.code) this.since = performance.now() - LOOK_EVERY_MS;
    this.fault = fault;
    if (!fault) this.told(null);
    else if (fault.final || performance.now() - this.since >= PATIENCE_MS) this.told(fault);
    this.timer = setTimeout(() => this.look(), LOOK_EVERY_MS);
  }

  // The first thing that is wrong: what comes later can't be right before it is.
  async find() {
    const { sending, receiving, producer, consumer } = this.media;
    const { muted, theirMuted, toneless } = this.quiet();
    const sent = muted || (await this.grew(producer, 'outbound-rtp', 'packetsSent'));
    const came = theirMuted || (await this.grew(consumer, 'inbound-rtp', 'packetsReceived'));
    if (sending.connectionState !== 'connected') return unreached(sending);
    if (toneless) return { code: 'toneless' };
    if (!sent) return { code: 'unsent' };
    if (!consumer) return { code: 'absent' };
    if (receiving.connectionState !== 'connected') return unreached(receiving);
    return came ? null : { code: 'unheard' };
  }

  async grew(end, type, counter) {
    const before = this.counts.get(counter) ?? 0;
    const stats = end ? [...(await end.getStats()).values()] : [];
    const now = stats.find((one) => one.type === type)?.[counter] ?? 0;
    this.counts.set(counter, now);
    return now !== before; // another consumer begins at 0
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }
}

function unreached({ connectionState, appData: { places, firefox } }) {
  const loopback = places.every((place) => /^(127\.|\[?::1\b)/.test(place));
  return { code: 'unreached', final: connectionState === 'failed', places, loopback: loopback && firefox };
}

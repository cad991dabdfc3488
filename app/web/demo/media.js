// One party's sound in one call: mediasoup-client over RTC-01 to RTC-06, kept alive when the network moves.
import { Device } from 'mediasoup-client';

const KEPT = 'voiceplane-demo-transports'; // what a reloaded page has to give back before it can join again
const RESTART_AFTER_MS = 2000;

export class Media {
  // `hear(track, receiver)` gets the other party's sound.
  constructor(session, callId, hear) {
    Object.assign(this, { session, callId, hear, heard: new Set() });
    this.ask = (method, path, body) => session.ask(method, path, body);
  }

  // Returns whether the other party is muted already.
  async join(track) {
    await this.giveBack();
    this.device = await Device.factory();
    const { rtpCapabilities } = await this.ask('GET', 'rtc/capabilities');
    await this.device.load({ routerRtpCapabilities: rtpCapabilities });
    [this.sending, this.receiving] = await Promise.all([this.open('send'), this.open('recv')]);
    sessionStorage.setItem(KEPT, JSON.stringify([this.sending.id, this.receiving.id]));
    const muted = await this.findProducers();
    this.producer = await this.sending.produce({
      track,
      stopTracks: false,
      codecOptions: { opusDtx: true, opusFec: true },
    });
    return muted;
  }

  async giveBack() {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? '[]');
    sessionStorage.removeItem(KEPT);
    await Promise.allSettled(kept.map((id) => this.ask('DELETE', `rtc/transports/${id}`)));
  }

  async open(direction) {
    const { transportId: id, ...rest } = await this.ask('POST', 'rtc/transports', { callId: this.callId, direction });
    const transport = this.device[direction === 'send' ? 'createSendTransport' : 'createRecvTransport']({
      id,
      ...rest,
      appData: { places: places(rest.iceCandidates), firefox: this.device.handlerName.startsWith('Firefox') },
    });
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      this.ask('POST', `rtc/transports/${id}/connect`, { dtlsParameters }).then(done, failed);
    });
    transport.on('produce', ({ kind, rtpParameters }, done, failed) => {
      const body = { callId: this.callId, transportId: id, kind, rtpParameters };
      this.ask('POST', 'rtc/producers', body).then(({ producerId }) => done({ id: producerId }), failed);
    });
    transport.on('connectionstatechange', (state) => this.mend(transport, state));
    return transport;
  }

  // A network that changed (Wi-Fi to mobile) needs new candidates, not a new call (RFC 8445 §2.4).
  mend(transport, state) {
    clearTimeout(transport.appData.timer);
    if (state !== 'disconnected' && state !== 'failed') return;
    transport.appData.timer = setTimeout(async () => {
      if (transport.closed) return;
      try {
        const { iceParameters } = await this.ask('POST', `rtc/transports/${transport.id}/restart-ice`);
        await transport.restartIce({ iceParameters });
      } catch {
        this.mend(transport, transport.connectionState); // not reachable yet: again, while the call lives
      }
    }, RESTART_AFTER_MS);
  }

  // Events name producers that come later; those that were there before us are in the list.
  async findProducers() {
    const { producers } = await this.ask('GET', `rtc/rooms/${this.callId}/producers`);
    const theirs = producers.filter(({ role }) => role !== this.session.role);
    await Promise.all(theirs.map(({ producerId }) => this.receive(producerId)));
    return theirs.some(({ paused }) => paused);
  }

  async receive(producerId) {
    if (!this.receiving || this.heard.has(producerId)) return;
    this.heard.add(producerId);
    const { rtpCapabilities } = this.device;
    const wanted = { callId: this.callId, transportId: this.receiving.id, producerId, rtpCapabilities };
    const { consumerId: id, kind, rtpParameters } = await this.ask('POST', 'rtc/consumers', wanted);
    const consumer = await this.receiving.consume({ id, producerId, kind, rtpParameters });
    await this.ask('POST', `rtc/consumers/${id}/resume`);
    this.consumer = consumer;
    this.hear(consumer.track, consumer.rtpReceiver);
  }

  // The server knows of it, so that the other party is told and silence is not taken for a lost network.
  async mute(muted) {
    await this.ask('POST', `rtc/producers/${this.producer.id}/${muted ? 'pause' : 'resume'}`);
    this.producer[muted ? 'pause' : 'resume']();
  }

  close() {
    sessionStorage.removeItem(KEPT);
    for (const transport of [this.sending, this.receiving]) {
      clearTimeout(transport?.appData.timer);
      transport?.close();
    }
  }
}

// Where the server says that its media is, as people write it.
function places(candidates) {
  const hosts = candidates.map(({ address, ip = address, port }) => `${ip.includes(':') ? `[${ip}]` : ip}:${port}`);
  return [...new Set(hosts)];
}

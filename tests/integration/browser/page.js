// One party of a call in a browser: mediasoup-client over the REST contract, and an ear for what arrives.
// The tests drive it through `window.party`; it knows no more of the server than any web page does.
import { Device } from 'mediasoup-client';

const SPECTRUM_POINTS = 16384; // at 48 kHz a bin is 2.9 Hz wide
const STATS_EVERY_MS = 50;
const SILENCE_DB = -60; // the analyser's floor is -100, a tone lies near -20

async function request(token, method, path, body) {
  const response = await fetch(path, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${answer.error}`);
  return answer;
}

class Party {
  async join({ token, callId }) {
    this.call = (method, path, body) => request(token, method, path, body);
    this.callId = callId;
    this.audio = new AudioContext();
    this.device = await Device.factory();
    const { rtpCapabilities } = await this.call('GET', '/rtc/capabilities');
    await this.device.load({ routerRtpCapabilities: rtpCapabilities });
    return this.device.handlerName;
  }

  // The microphone, unprocessed: echo cancelling and noise suppression take a steady tone away.
  async sendMicrophone() {
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    return this.send(stream.getAudioTracks()[0]);
  }

  async sendTone(hz) {
    const tone = new OscillatorNode(this.audio, { frequency: hz });
    const volume = new GainNode(this.audio, { gain: 0.3 });
    const sink = new MediaStreamAudioDestinationNode(this.audio, { channelCount: 1 });
    tone.connect(volume).connect(sink);
    tone.start();
    return this.send(sink.stream.getAudioTracks()[0]);
  }

  async send(track) {
    this.sending = await this.openTransport('send');
    this.sending.on('produce', ({ kind, rtpParameters }, done, failed) => {
      const body = { callId: this.callId, transportId: this.sending.id, kind, rtpParameters };
      this.call('POST', '/rtc/producers', body).then(({ producerId }) => done({ id: producerId }), failed);
    });
    this.producer = await this.sending.produce({ track, codecOptions: { opusStereo: false, opusDtx: true } });
    return this.producer.id;
  }

  async receive(producerId) {
    this.receiving = await this.openTransport('recv');
    const answer = await this.call('POST', '/rtc/consumers', {
      callId: this.callId,
      transportId: this.receiving.id,
      producerId,
      rtpCapabilities: this.device.recvRtpCapabilities,
    });
    const { consumerId, kind, rtpParameters } = answer;
    this.consumer = await this.receiving.consume({ id: consumerId, producerId, kind, rtpParameters });
    await this.call('POST', `/rtc/consumers/${consumerId}/resume`);
    this.listen(this.consumer.track);
    return consumerId;
  }

  // A remote track reaches an AudioContext only while an element plays it, too.
  listen(track) {
    const stream = new MediaStream([track]);
    document.getElementById('speaker').srcObject = stream;
    this.analyser = new AnalyserNode(this.audio, { fftSize: SPECTRUM_POINTS, smoothingTimeConstant: 0 });
    new MediaStreamAudioSourceNode(this.audio, { mediaStream: stream }).connect(this.analyser);
  }

  async openTransport(direction) {
    const { transportId, ...rest } = await this.call('POST', '/rtc/transports', { callId: this.callId, direction });
    const create = direction === 'send' ? 'createSendTransport' : 'createRecvTransport';
    const transport = this.device[create]({ id: transportId, ...rest });
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      this.call('POST', `/rtc/transports/${transportId}/connect`, { dtlsParameters }).then(done, failed);
    });
    return transport;
  }

  // The strongest frequency in Hz of what is heard right now; 0 for silence.
  dominantHz() {
    const spectrum = new Float32Array(this.analyser.frequencyBinCount);
    this.analyser.getFloatFrequencyData(spectrum);
    const strongest = spectrum.reduce((best, level, bin) => (level > spectrum[best] ? bin : best), 0);
    return spectrum[strongest] < SILENCE_DB ? 0 : (strongest * this.audio.sampleRate) / SPECTRUM_POINTS;
  }

  async received() {
    for (const stats of (await this.consumer.getStats()).values()) {
      if (stats.type === 'inbound-rtp') return { packets: stats.packetsReceived, lost: stats.packetsLost };
    }
    return { packets: 0, lost: 0 };
  }

  async receivedAtLeast(packets) {
    for (;;) {
      const counts = await this.received();
      if (counts.packets >= packets) return counts;
      await new Promise((again) => setTimeout(again, STATS_EVERY_MS));
    }
  }
}

window.party = new Party();

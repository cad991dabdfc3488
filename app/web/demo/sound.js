// Microphone, test tone and levels. The browser's audio engine starts with a click only, and where there is no sound card it
// may never start: nothing waits for it, and only the test tone is not to be had without it.

const FLOOR_DB = -60; // quieter than this is drawn as nothing
const FALL = 0.95; // what is left of a level a frame later
const WINDOW = 1024; // samples, 21 ms at 48 kHz

let engine;

export function wake() {
  engine ??= new AudioContext();
  engine.resume().catch(() => {}); // the page was left meanwhile
}

export function awake() {
  return engine?.state === 'running';
}

export class NoMicrophone extends Error {}

// The microphone's track. Throws NoMicrophone with `why` it can't be had, a key of the texts.
export async function microphone() {
  if (!navigator.mediaDevices) throw Object.assign(new NoMicrophone(), { why: 'insecure' });
  try {
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    return (await navigator.mediaDevices.getUserMedia({ audio })).getAudioTracks()[0];
  } catch ({ name }) {
    const why = {
      NotAllowedError: 'denied',
      SecurityError: 'denied',
      NotFoundError: 'missing',
      OverconstrainedError: 'missing',
    };
    throw Object.assign(new NoMicrophone(), { why: why[name] ?? 'busy' });
  }
}

// A soft tone that comes and goes, for machines without a microphone.
export function testTone() {
  const tone = new OscillatorNode(engine, { frequency: 440 });
  const swell = new GainNode(engine, { gain: 0.12 });
  const wave = new OscillatorNode(engine, { frequency: 0.5 });
  const depth = new GainNode(engine, { gain: 0.08 });
  const sink = new MediaStreamAudioDestinationNode(engine, { channelCount: 1 });
  wave.connect(depth).connect(swell.gain);
  tone.connect(swell).connect(sink);
  tone.start();
  wave.start();
  return sink.stream.getAudioTracks()[0];
}

// How loud a track is right now: 0 to 1, linear in decibels as ears are. Rises at once and falls slowly, as eyes like it.
// While the engine does not run, it is what the `receiver` of a remote track says of its last packet.
export class Level {
  constructor(track, receiver = null) {
    this.receiver = receiver;
    this.source = new MediaStreamAudioSourceNode(engine, { mediaStream: new MediaStream([track]) });
    this.analyser = new AnalyserNode(engine, { fftSize: WINDOW });
    this.samples = new Float32Array(WINDOW);
    this.shown = 0;
    this.source.connect(this.analyser);
  }

  now() {
    const power = awake() ? this.measured() : this.told();
    const loudness = Math.min(1, Math.max(0, 1 - (10 * Math.log10(power + 1e-12)) / FLOOR_DB));
    this.shown = Math.max(loudness, this.shown * FALL);
    return this.shown;
  }

  measured() {
    this.analyser.getFloatTimeDomainData(this.samples);
    return this.samples.reduce((sum, sample) => sum + sample * sample, 0) / WINDOW;
  }

  told() {
    const [packet] = this.receiver?.getSynchronizationSources() ?? [];
    const news = packet && packet.timestamp !== this.toldAt;
    this.toldAt = packet?.timestamp;
    return news ? (packet.audioLevel ?? 0) ** 2 : 0;
  }

  close() {
    this.source.disconnect();
  }
}

// Microphone, test tone and levels: everything that needs the browser's audio engine, which starts with a click only.

const FLOOR_DB = -60; // quieter than this is drawn as nothing
const FALL = 0.95; // what is left of a level a frame later
const WINDOW = 1024; // samples, 21 ms at 48 kHz

let engine;

export function wake() {
  engine ??= new AudioContext();
  return engine.resume();
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
export class Level {
  constructor(track) {
    this.source = new MediaStreamAudioSourceNode(engine, { mediaStream: new MediaStream([track]) });
    this.analyser = new AnalyserNode(engine, { fftSize: WINDOW });
    this.samples = new Float32Array(WINDOW);
    this.shown = 0;
    this.source.connect(this.analyser);
  }

  now() {
    this.analyser.getFloatTimeDomainData(this.samples);
    const power = this.samples.reduce((sum, sample) => sum + sample * sample, 0) / WINDOW;
    const loudness = Math.min(1, Math.max(0, 1 - (10 * Math.log10(power + 1e-12)) / FLOOR_DB));
    this.shown = Math.max(loudness, this.shown * FALL);
    return this.shown;
  }

  close() {
    this.source.disconnect();
  }
}

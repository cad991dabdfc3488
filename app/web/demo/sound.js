// A test tone for machines without a microphone, and levels that eyes like. The browser's audio engine starts with a click
// only, and where there is no sound card it may never start: then there is no tone.

const FALL = 0.95; // what is left of a level a frame later

let engine;

export function wake() {
  engine ??= new AudioContext();
  engine.resume().catch(() => {}); // the page was left meanwhile
}

export function awake() {
  return engine?.state === 'running';
}

// A soft tone that comes and goes.
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

// Rises at once and falls slowly.
export class Needle {
  shown = 0;

  at(level) {
    this.shown = Math.max(level, this.shown * FALL);
    return this.shown;
  }
}

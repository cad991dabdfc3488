// The browser's audio engine, for what needs one: levels, and a silence to send. It starts after a person has touched the
// page and not before (HTML, user activation), and on a machine without sound never: nothing else waits for it.

const FLOOR_DB = -60; // quieter than this is 0
const QUIET = 0.05; // of full scale: -26 dB, far above what is taken for silence
const TONE_HZ = 440;
const WINDOW = 1024; // samples, 21 ms at 48 kHz
const LONG_WINDOW = 32_768; // 0.7 s: the largest there is

export class Engine {
  #context: AudioContext | null = null;
  #closed = false;

  /** The running engine, or null where there is none yet. */
  get context(): AudioContext | null {
    const context = this.#made();
    return context?.state === 'running' ? context : null;
  }

  /** A track of silence, which is sent where a microphone was; null where there is no engine. */
  silence(): MediaStreamTrack | null {
    const context = this.#made();
    return context && trackFrom(new ConstantSourceNode(context, { offset: 0 })); // without a source nothing comes at all
  }

  /** A track of a quiet tone; null where there is no engine. */
  tone(): MediaStreamTrack | null {
    const context = this.#made();
    if (!context) return null;
    const volume = new GainNode(context, { gain: QUIET });
    const sine = new OscillatorNode(context, { frequency: TONE_HZ });
    sine.connect(volume);
    return trackFrom(sine, volume);
  }

  close(): void {
    this.#closed = true;
    this.#context?.close().catch(() => undefined); // it is closed already
    this.#context = null;
  }

  #made(): AudioContext | null {
    if (!this.#context && !this.#closed && wasTouched()) {
      this.#context = new AudioContext();
      this.#context.resume().catch(() => undefined); // the page was left meanwhile
    }
    return this.#context;
  }
}

function trackFrom(source: AudioScheduledSourceNode, last: AudioNode = source): MediaStreamTrack | null {
  const sink = new MediaStreamAudioDestinationNode(source.context as AudioContext, { channelCount: 1 });
  last.connect(sink);
  source.start();
  return sink.stream.getAudioTracks()[0] ?? null;
}

/** An engine that is made before would complain on the console. Browsers that can't tell start it or don't. */
function wasTouched(): boolean {
  return (navigator as { userActivation?: UserActivation }).userActivation?.hasBeenActive ?? true;
}

/** How loud a track is: 0 to 1, linear in decibels as ears are. */
export class LevelMeter {
  #nodes: { source: AudioNode; quick: AnalyserNode; long: AnalyserNode } | null = null;
  #packetAt: number | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly track: MediaStreamTrack,
    private readonly receiver: RTCRtpReceiver | null = null,
  ) {}

  get level(): number {
    const quick = this.#analysers()?.quick;
    const power = quick ? powerOf(quick) : this.#ofLastPacket();
    return Math.min(1, Math.max(0, 1 - (10 * Math.log10(power + 1e-12)) / FLOOR_DB));
  }

  /** Whether there was any sound at all in the last 0.7 s; null where that is not known. */
  get hasSound(): boolean | null {
    const long = this.#analysers()?.long;
    return long ? powerOf(long) > 0 : null;
  }

  close(): void {
    this.#nodes?.source.disconnect();
    this.#nodes = null;
  }

  #analysers() {
    const { context } = this.engine;
    if (!context) return null;
    if (!this.#nodes) {
      const source = new MediaStreamAudioSourceNode(context, { mediaStream: new MediaStream([this.track]) });
      const [quick, long] = [WINDOW, LONG_WINDOW].map((fftSize) => new AnalyserNode(context, { fftSize }));
      if (!quick || !long) return null;
      source.connect(quick);
      source.connect(long);
      this.#nodes = { source, quick, long };
    }
    return this.#nodes;
  }

  /** What came with it (RFC 6464): of a remote track, and of each packet once. */
  #ofLastPacket(): number {
    const [packet] = this.receiver?.getSynchronizationSources() ?? [];
    const isNew = packet && packet.timestamp !== this.#packetAt;
    this.#packetAt = packet?.timestamp;
    return isNew ? (packet.audioLevel ?? 0) ** 2 : 0;
  }
}

function powerOf(analyser: AnalyserNode): number {
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  return samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
}

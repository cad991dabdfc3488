// A call's microphone: opened once, kept over whatever happens to the call's media, closed with it. A track that the
// page brings is the page's, and is neither stopped nor replaced by another one unasked.
import { Engine, LevelMeter } from './engine';
import { VoiceplaneError } from './errors';
import type { ErrorCode } from './errors';

/** A device's id, what to ask the browser for, or a track of the page's own; else the browser's own choice. */
export type MicrophoneChoice = string | MediaTrackConstraints | MediaStreamTrack;

export type SilenceCause =
  | 'silent' // it gives nothing but zeros: switched off at the device, or dead
  | 'interrupted' // the system has taken it: another call, a switch
  | 'unplugged' // it is gone, and there is no other one
  | 'denied'; // the permission was taken back

export interface MicrophoneHooks {
  /** Another track is to be sent from now on. */
  track: (track: MediaStreamTrack) => void;
  silent: (cause: SilenceCause | null) => void;
  changed: (track: MediaStreamTrack) => void;
}

const PROCESSING: MediaTrackConstraints = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

const CODES: Record<string, ErrorCode> = {
  NotAllowedError: 'MICROPHONE_DENIED',
  SecurityError: 'MICROPHONE_DENIED',
  NotFoundError: 'MICROPHONE_MISSING',
  OverconstrainedError: 'MICROPHONE_MISSING',
};

export class Microphone {
  #track: MediaStreamTrack;
  #isOurs: boolean;
  #muted = false;
  #meter: LevelMeter;
  #stopWatching = new AbortController();
  #stopWaiting = new AbortController();
  #closed = false;

  private constructor(
    track: MediaStreamTrack,
    isOurs: boolean,
    private readonly engine: Engine,
    private readonly hooks: MicrophoneHooks,
  ) {
    this.#track = track;
    this.#isOurs = isOurs;
    this.#meter = new LevelMeter(engine, track);
    this.#watch();
  }

  /** Throws INSECURE_PAGE and the MICROPHONE_ ones. */
  static async open(choice: MicrophoneChoice | undefined, engine: Engine, hooks: MicrophoneHooks): Promise<Microphone> {
    const isOurs = !(choice instanceof MediaStreamTrack);
    return new Microphone(await trackOf(choice), isOurs, engine, hooks);
  }

  get track(): MediaStreamTrack {
    return this.#track;
  }

  get level(): number {
    return this.#muted ? 0 : this.#meter.level;
  }

  get hasSound(): boolean | null {
    return this.#meter.hasSound;
  }

  set muted(muted: boolean) {
    this.#muted = muted;
    this.#track.enabled = !muted;
  }

  /** Takes another one. What was there stays until it is there. */
  async change(choice: MicrophoneChoice | undefined): Promise<void> {
    const track = await trackOf(choice);
    const isOurs = track !== choice;
    if (this.#closed) {
      if (isOurs) track.stop();
      throw new VoiceplaneError('CALL_ENDED');
    }
    this.#use(track, isOurs);
    this.hooks.silent(null);
    this.hooks.changed(track);
  }

  close(): void {
    this.#closed = true;
    this.#letGo();
    this.#stopWaiting.abort();
  }

  #use(track: MediaStreamTrack, isOurs: boolean): void {
    this.#letGo();
    this.#track = track;
    this.#isOurs = isOurs;
    this.#meter = new LevelMeter(this.engine, track);
    track.enabled = !this.#muted;
    this.#watch();
    this.hooks.track(track);
  }

  #letGo(): void {
    this.#stopWatching.abort();
    this.#meter.close();
    if (this.#isOurs) this.#track.stop();
  }

  #watch(): void {
    this.#stopWatching = new AbortController();
    const { signal } = this.#stopWatching;
    this.#track.addEventListener('ended', () => void this.#lost(), { signal });
    this.#track.addEventListener('mute', () => this.hooks.silent('interrupted'), { signal });
    this.#track.addEventListener('unmute', () => this.hooks.silent(null), { signal });
  }

  /** Another one, where there is one; else silence, by which the call lives on, until one is plugged in. */
  async #lost(): Promise<void> {
    if (!this.#isOurs) {
      this.hooks.silent('unplugged');
      return;
    }
    try {
      await this.change(undefined);
    } catch (error) {
      if (this.#closed) return;
      this.hooks.silent((error as VoiceplaneError).code === 'MICROPHONE_DENIED' ? 'denied' : 'unplugged');
      const silence = this.engine.silence();
      if (silence) this.#use(silence, true);
      this.#waitForAnother();
    }
  }

  #waitForAnother(): void {
    this.#stopWaiting.abort();
    this.#stopWaiting = new AbortController();
    const { signal } = this.#stopWaiting;
    const plugged = () => {
      this.change(undefined).then(
        () => this.#stopWaiting.abort(),
        () => undefined, // not that one: the next
      );
    };
    navigator.mediaDevices.addEventListener('devicechange', plugged, { signal });
  }
}

async function trackOf(choice: MicrophoneChoice | undefined): Promise<MediaStreamTrack> {
  if (choice instanceof MediaStreamTrack) return choice;
  const { mediaDevices } = navigator as { mediaDevices?: MediaDevices };
  if (!mediaDevices) throw new VoiceplaneError('INSECURE_PAGE', 'a page needs https: or localhost for a microphone');
  const wanted = typeof choice === 'string' ? { deviceId: { exact: choice } } : choice;
  try {
    const stream = await mediaDevices.getUserMedia({ audio: { ...PROCESSING, ...wanted } });
    const [track] = stream.getAudioTracks();
    if (track) return track;
    throw new DOMException('the browser gave no track', 'NotFoundError');
  } catch (error) {
    const { name, message } = error as DOMException;
    throw new VoiceplaneError(CODES[name] ?? 'MICROPHONE_BUSY', message || name, { cause: error });
  }
}

// What a window has of a call while it takes part in it: the microphone, the media, what is heard, and how that sounds. Knows
// no state of the call, and nobody who could end it.
import type { Device } from 'mediasoup-client';
import type { Api } from './api';
import type { CallEvents } from './call-events';
import { Engine } from './engine';
import { VoiceplaneError } from './errors';
import { Media } from './media';
import type { MediaHooks } from './media';
import { Microphone } from './microphone';
import type { MicrophoneChoice } from './microphone';
import { Sound } from './sound';
import { statsOf } from './stats';
import type { CallStats } from './stats';
import type { Role } from './token';
import { Watch } from './watch';
import type { QualityReport } from './watch';
import type { ProducerPayload } from './wire';

export interface LineOptions {
  api: Api;
  device: () => Promise<Device>;
  callId: string;
  role: Role;
  /** Whether it plays what it hears. */
  plays: boolean;
  hooks: LineHooks;
}

export interface LineHooks extends Pick<MediaHooks, 'record' | 'elsewhere' | 'failed'> {
  tell: <Name extends keyof CallEvents>(name: Name, payload: CallEvents[Name]) => void;
  /** Nothing is heard any more: is there a network? */
  lost: () => void;
}

export class Line {
  #isMuted = false;
  #closed = false;
  #microphone: Microphone | null = null;
  #media: Media | null = null;
  #watch: Watch | null = null;
  readonly #engine = new Engine();
  readonly #sound: Sound;

  constructor(private readonly options: LineOptions) {
    const { plays, hooks } = options;
    this.#sound = new Sound(this.#engine, plays, {
      blocked: (isBlocked) => hooks.tell('playback', { blocked: isBlocked }),
      muted: (isMuted) => hooks.tell('remotemuted', { muted: isMuted }),
    });
  }

  /** What is heard, and whether it plays. */
  get sound(): Pick<Sound, 'stream' | 'isMuted' | 'isBlocked' | 'level' | 'start'> {
    return this.#sound;
  }

  get microphone(): Pick<Microphone, 'level' | 'change'> | null {
    return this.#microphone;
  }

  get isMuted(): boolean {
    return this.#isMuted;
  }

  /** For who tells it of events; null before it sends and hears. */
  get media(): Pick<
    Media,
    'check' | 'moved' | 'networkChanged' | 'producerAdded' | 'producerRemoved' | 'soundLost'
  > | null {
    return this.#media;
  }

  get quality(): QualityReport['quality'] {
    return this.#watch?.report.quality ?? 'unknown';
  }

  async stats(): Promise<(CallStats & QualityReport) | null> {
    const room = this.#media?.room;
    const report = this.#watch?.report;
    return room && report ? { ...(await statsOf(room)), ...report } : null;
  }

  /** Opens the microphone. Throws as that does, and what `signal` was aborted with while the browser asked. */
  async open(choice: MicrophoneChoice | undefined, signal: AbortSignal): Promise<void> {
    const { tell } = this.options.hooks;
    const microphone = await Microphone.open(choice, this.#engine, {
      track: (track) => this.#media?.setTrack(track),
      silent: (cause) => tell('silentmicrophone', { silent: cause !== null, cause }),
      changed: (track) => tell('microphone', { deviceId: track.getSettings().deviceId ?? '', label: track.label }),
    });
    if (this.#closed || signal.aborted) {
      microphone.close();
      throw signal.aborted ? signal.reason : new VoiceplaneError('CALL_ENDED');
    }
    this.#microphone = microphone;
    microphone.muted = this.#isMuted;
  }

  /** Lets go of the microphone, which can be opened again. */
  drop(): void {
    this.#microphone?.close();
    this.#microphone = null;
  }

  /** Sends and hears. Throws where that can't be, CALL_ENDED where it is closed. */
  async start(): Promise<void> {
    const microphone = this.#microphone;
    if (!microphone) throw new VoiceplaneError('CALL_ENDED');
    const { api, device, callId, role, hooks } = this.options;
    const { record, elsewhere, failed } = hooks;
    const media = (this.#media = new Media({
      api,
      device,
      callId,
      role,
      track: microphone.track,
      hooks: {
        record,
        elsewhere,
        failed,
        heard: (ear) => this.#sound.add(ear),
        unheard: (ear) => this.#sound.remove(ear),
        changed: () => this.#sound.pausedChanged(),
      },
    }));
    if (this.#isMuted) await media.mute(true);
    await media.start();
    this.#watch ??= this.#watched(media, microphone);
  }

  async mute(isMuted: boolean): Promise<void> {
    this.#isMuted = isMuted;
    if (this.#microphone) this.#microphone.muted = isMuted;
    await this.#media?.mute(isMuted);
  }

  pausedChanged({ producerId }: ProducerPayload, isPaused: boolean): void {
    if (this.#media?.producerPaused(producerId, isPaused)) this.#sound.pausedChanged();
  }

  close(): void {
    this.#closed = true;
    this.#watch?.stop();
    this.#media?.close();
    this.drop();
    this.#media = null;
    this.#sound.close();
    this.#engine.close();
  }

  #watched(media: Media, microphone: Microphone): Watch {
    const { tell, lost } = this.options.hooks;
    return new Watch(
      {
        room: () => media.room,
        expectsNothing: () => !this.#sound.expectsSound,
        isMuted: () => this.#isMuted,
        hasSound: () => microphone.hasSound,
      },
      {
        quality: (report) => {
          if (report.quality === 'lost') lost();
          tell('quality', report);
        },
        microphone: (isSilent) => tell('silentmicrophone', { silent: isSilent, cause: isSilent ? 'silent' : null }),
      },
    );
  }
}

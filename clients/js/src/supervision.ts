// An admin in somebody else's call: hears both parties, whispers to one or speaks to both, on the same room and media as
// a call's. The microphone is opened for whom it is heard by, and for nobody else.
import { Api } from './api';
import { loadedDevice } from './device';
import { Emitter } from './emitter';
import { Engine } from './engine';
import { VoiceplaneError, asError, hasCode } from './errors';
import { Media } from './media';
import { Microphone } from './microphone';
import { Socket } from './socket';
import type { ServerEvent } from './socket';
import { Sound } from './sound';
import { Tokens } from './token';
import type { Role, Token } from './token';
import type { CallRecord, EventPayloads, SupervisionMode, SupervisionRecord } from './wire';

const PACE_MS = 2000; // of pings, as in a call
const COMMAND_FOR_MS = 10_000;

/** What the admin wants: to listen, to whisper to one party, or to speak to both (`barge`). */
export type Wish = { mode: 'listen' | 'barge' } | { mode: 'whisper'; to: Role };

export interface SupervisionOptions {
  /** Where the server is, as in `https://voice.example.com`. */
  url: string | URL;
  /** An admin's JWT, or a function that gets one. */
  token: Token;
  callId: string;
  /** Why: it is asked of every admin, and kept. */
  reason: string;
  wish?: Wish;
}

export interface SupervisionEvents {
  /** The mode is another one. */
  changed: { mode: SupervisionMode; to: Role | null };
  /** It hears, or does not for now. */
  connection: { connected: boolean };
  /** Whether the browser waits for a touch of the page before it plays anything. */
  playback: { blocked: boolean };
  /** `reason` is the server's word, or `failed`, with the `error`. */
  ended: { reason: string; error?: VoiceplaneError };
}

export class Supervision extends Emitter<SupervisionEvents> {
  #id = '';
  #mode: SupervisionMode = 'listen';
  #to: Role | null = null;
  #isOver = false;
  #isConnected = false;
  #microphone: Microphone | null = null;
  readonly #engine = new Engine();
  readonly #sound: Sound;
  readonly #media: Media;
  readonly #socket: Socket;

  private constructor(
    private readonly api: Api,
    readonly callId: string,
  ) {
    super();
    this.#sound = new Sound(this.#engine, true, {
      blocked: (isBlocked) => this.emit('playback', { blocked: isBlocked }),
      muted: () => undefined,
    });
    this.#media = new Media({
      api,
      device: () => loadedDevice(api),
      callId,
      role: 'admin',
      track: null,
      hooks: {
        record: (answer) => this.#heed(answer),
        elsewhere: () => this.#over('elsewhere'),
        failed: (error) => this.#over('failed', error),
        heard: (ear) => this.#sound.add(ear),
        unheard: (ear) => this.#sound.remove(ear),
        changed: () => this.#changed(),
      },
    });
    this.#socket = new Socket(
      api,
      {
        event: (event) => this.#take(event),
        up: () => this.#media.check(),
        down: () => undefined,
        over: (error) => this.#over('failed', error),
      },
      PACE_MS,
    );
  }

  /** Resolves when both are heard who send. Rejects with a `code`, and then nothing of it is left. */
  static async begin({
    url,
    token,
    callId,
    reason,
    wish = { mode: 'listen' },
  }: SupervisionOptions): Promise<Supervision> {
    const supervision = new Supervision(new Api(url, new Tokens(token)), callId);
    await supervision.#begin(wish, reason);
    return supervision;
  }

  get mode(): SupervisionMode {
    return this.#mode;
  }

  /** Whom a whisper is for. */
  get to(): Role | null {
    return this.#to;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  get isPlaybackBlocked(): boolean {
    return this.#sound.isBlocked;
  }

  /** How loud one's own microphone is right now, 0 to 1. */
  get level(): number {
    return this.#microphone?.level ?? 0;
  }

  /** How loud that party is right now, 0 to 1; null while it is not heard. */
  levelOf(role: Role): number | null {
    return this.#sound.levelOf(role);
  }

  /** Plays the sound that the browser held back: call it from a click. Returns whether it plays. */
  startAudio(): Promise<boolean> {
    return this.#sound.start();
  }

  /** The microphone is opened before anybody is to hear it, and closed when nobody is any more. */
  async change(wish: Wish): Promise<void> {
    await this.#openMicrophone(wish);
    try {
      const path = `admin/calls/${this.callId}/supervise/${this.#id}`;
      this.#is(await this.api.patiently('PATCH', path, { body: wish }, COMMAND_FOR_MS));
    } catch (error) {
      if (this.#mode === 'listen') this.#closeMicrophone();
      throw error;
    }
  }

  /** Nothing is heard or said any more when this resolves, whether or not the server could be told. */
  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#over('ended');
    await this.#tellTheEnd();
  }

  async #begin(wish: Wish, reason: string): Promise<void> {
    try {
      await this.#openMicrophone(wish);
      const path = `admin/calls/${this.callId}/supervise`;
      const record = await this.api.patiently<SupervisionRecord>(
        'POST',
        path,
        { body: { ...wish, reason } },
        COMMAND_FOR_MS,
      );
      this.#id = record.supervisionId;
      [this.#mode, this.#to] = [record.mode, record.to];
      await this.#socket.open();
      this.#socket.setPace(PACE_MS, true);
      await this.#media.start();
    } catch (error) {
      this.#close();
      if (this.#id) await this.#tellTheEnd();
      throw asError(error);
    }
  }

  async #tellTheEnd(): Promise<void> {
    try {
      await this.api.request('DELETE', `admin/calls/${this.callId}/supervise/${this.#id}`, { keepalive: true });
    } catch (error) {
      if (!hasCode(error, 'SUPERVISION_NOT_FOUND', 'CALL_NOT_FOUND', 'INVALID_CALL_STATE'))
        throw asError(error, 'NETWORK');
    }
  }

  async #openMicrophone({ mode }: Wish): Promise<void> {
    if (mode === 'listen' || this.#microphone) return;
    const microphone = await Microphone.open(undefined, this.#engine, {
      track: (track) => this.#media.setTrack(track),
      silent: () => undefined,
      changed: () => undefined,
    });
    if (this.#isOver) {
      microphone.close();
      throw new VoiceplaneError('CALL_ENDED');
    }
    this.#microphone = microphone;
    this.#media.setTrack(microphone.track);
  }

  #closeMicrophone(): void {
    if (!this.#microphone) return;
    this.#media.setTrack(null);
    this.#microphone.close();
    this.#microphone = null;
  }

  #is({ mode, to }: Pick<SupervisionRecord, 'mode' | 'to'>): void {
    if (mode === 'listen') this.#closeMicrophone();
    if (mode === this.#mode && to === this.#to) return;
    [this.#mode, this.#to] = [mode, to];
    this.emit('changed', { mode, to });
  }

  async #heed(answer: Promise<CallRecord>): Promise<CallRecord> {
    const record = await answer;
    if (record.state === 'ended') this.#over('call_ended');
    return record;
  }

  #take({ type, payload }: ServerEvent): void {
    if (payload.callId !== this.callId || this.#isOver) return;
    const handler = this.#handlers[type as keyof EventPayloads] as ((payload: object) => void) | undefined;
    handler?.(payload);
  }

  readonly #handlers: { [Type in keyof EventPayloads]?: (payload: EventPayloads[Type]) => void } = {
    supervision: ({ supervisionId, mediaEpoch }) => {
      if (supervisionId === this.#id) this.#media.moved(mediaEpoch, null);
    },
    supervision_ended: ({ supervisionId, reason }) => {
      if (supervisionId === this.#id) this.#over(reason);
    },
    producer_added: ({ producerId, mediaEpoch, role }) =>
      this.#media.producerAdded(producerId, true, mediaEpoch, role ?? undefined),
    producer_removed: ({ producerId }) => this.#media.producerRemoved(producerId),
    producer_paused: ({ producerId }) => void this.#media.producerPaused(producerId, true),
    producer_resumed: ({ producerId }) => void this.#media.producerPaused(producerId, false),
  };

  #changed(): void {
    const connected = this.#media.room?.isConnected ?? false;
    if (connected === this.#isConnected) return;
    this.#isConnected = connected;
    this.emit('connection', { connected });
  }

  #over(reason: string, error?: VoiceplaneError): void {
    if (this.#isOver) return;
    this.#close();
    this.emit('ended', { reason, ...(error && { error }) });
  }

  #close(): void {
    this.#isOver = true;
    this.#socket.close();
    this.#media.close();
    this.#microphone?.close();
    this.#microphone = null;
    this.#sound.close();
    this.#engine.close();
  }
}

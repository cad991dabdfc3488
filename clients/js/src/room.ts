// A party's media in one room: two transports, what it sends, what it hears. A room is opened, used and closed, and never
// repaired but by an ICE restart: whoever needs another one opens another one. Decides nothing.
import type { Device, types } from 'mediasoup-client';
import { HURRIED } from './api';
import type { Api, Method } from './api';
import { VoiceplaneError, asError, hasCode } from './errors';
import type { Role } from './token';
import { unlessAborted } from './waiting';
import type { ConsumerCreated, ListedProducer, TransportCreated } from './wire';

export interface RoomOptions {
  api: Api;
  device: Device;
  callId: string;
  /** What it does not hear is its own; an admin who supervises hears both. */
  role: Role | 'admin';
  /** What it sends; null where it only listens. */
  track: MediaStreamTrack | null;
  isMuted: () => boolean;
  hooks: RoomHooks;
  /** The only way that it may take to the server; any where it is not said. */
  way?: Way;
}

/** By UDP or TCP to the server itself, or by a TURN server. */
export type Way = 'udp' | 'tcp' | 'turn';

export interface RoomHooks {
  /** Its transports are there; what it sends and hears comes next. */
  begun: (room: Room) => void;
  heard: (ear: Ear) => void;
  unheard: (ear: Ear) => void;
  /** Sound has come, for the first time in this room, or a transport's state has changed. */
  changed: () => void;
}

/** One thing that is heard. */
export interface Ear {
  readonly consumer: types.Consumer;
  /** Of the other party; else an announcement, music, an admin. */
  readonly isParty: boolean;
  /** Whose it is, where a party's. */
  readonly role: Role | undefined;
  isPaused: boolean;
}

const OPUS: types.ProducerCodecOptions = { opusStereo: false, opusDtx: true, opusFec: true };
const LOST_STATES: readonly types.ConnectionState[] = ['disconnected', 'failed', 'closed'];

export class Room {
  readonly ears = new Map<string, Ear>();
  producer: types.Producer | null = null; // null where it only listens
  #changing: Promise<void> = Promise.resolve();
  #closed = false;
  #isPaused = false; // as the server knows it
  #hasHeard = false;
  #isCut = false;
  readonly #consuming = new Map<string, Promise<void>>();
  readonly #told = new Map<string, boolean>(); // who is paused, by events, which may come before there is an ear
  readonly #stop = new AbortController();

  private constructor(
    private readonly options: RoomOptions,
    readonly sending: types.Transport,
    readonly receiving: types.Transport,
    readonly epoch: number,
    readonly serverAddresses: readonly string[],
  ) {
    for (const transport of [sending, receiving]) {
      transport.on('connectionstatechange', () => options.hooks.changed());
    }
  }

  /** Throws VoiceplaneError, and leaves nothing open. `maybeMine` is told when a transport may be there unbeknownst. */
  static async open(options: RoomOptions, signal: AbortSignal, maybeMine: () => void): Promise<Room> {
    const requests = (['send', 'recv'] as const).map((direction) => openTransport(options, direction, signal));
    const results = await Promise.allSettled(requests);
    let room: Room | null = null;
    const opened = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    try {
      const refused = results.find((one) => one.status === 'rejected');
      if (refused) throw refused.reason;
      signal.throwIfAborted();
      const [send, recv] = opened as [OpenedTransport, OpenedTransport];
      if (send.epoch !== recv.epoch)
        throw new VoiceplaneError('ROOM_NOT_FOUND', 'the room moved meanwhile', { status: 503 });
      room = new Room(options, send.transport, recv.transport, send.epoch, send.addresses);
      options.hooks.begun(room);
      await room.#begin(signal);
      return room;
    } catch (error) {
      if (hasCode(error, 'NETWORK')) maybeMine();
      room?.close();
      for (const { transport } of opened) transport.close();
      throw asError(error);
    }
  }

  /** The server has closed a transport: another window has the call, or the room is gone (DTLS says so, RFC 5246 §7.2.1). */
  get isCut(): boolean {
    return this.#isCut;
  }

  get isLost(): boolean {
    return this.#isCut || this.#inUse.some((one) => LOST_STATES.includes(one.connectionState));
  }

  get isConnected(): boolean {
    const sends = !this.producer || this.sending.connectionState === 'connected';
    return sends && !['connecting', ...LOST_STATES].includes(this.receiving.connectionState);
  }

  /** Connected both ways, and sound has come where there is anybody to be heard. */
  get isProven(): boolean {
    return this.isConnected && (this.#hasHeard || [...this.ears.values()].every((ear) => !ear.isParty || ear.isPaused));
  }

  /** Hears what the other party sends, and lets go of what it has ceased to send. What is of no party is in no list. */
  async hearAll(signal: AbortSignal): Promise<void> {
    const { api, callId, role } = this.options;
    const { producers } = await api.request<{ producers: ListedProducer[] }>('GET', `rtc/rooms/${callId}/producers`, {
      signal,
      ...HURRIED,
    });
    const theirs = producers.filter((one) => one.role !== role || one.source);
    const ids = new Set(theirs.map(({ producerId }) => producerId));
    for (const [id, ear] of this.ears) if (ear.isParty && !ids.has(id)) this.unhear(id);
    await Promise.all(theirs.map((one) => this.hear(one.producerId, !one.source, one.role)));
    const news = theirs.map(({ producerId, paused }) => this.setPaused(producerId, paused));
    if (news.includes(true)) this.options.hooks.changed();
  }

  /** The event and the list may both name a producer: it is consumed once. */
  hear(producerId: string, isParty: boolean, role?: Role): Promise<void> {
    let consuming = this.#consuming.get(producerId);
    if (!consuming) {
      consuming = this.#consume(producerId, isParty, role).catch((error: unknown) => {
        this.#consuming.delete(producerId);
        if (hasCode(error, 'PRODUCER_NOT_FOUND' as never)) return; // it is gone already
        throw error;
      });
      this.#consuming.set(producerId, consuming);
    }
    return consuming;
  }

  unhear(producerId: string): void {
    this.#consuming.delete(producerId);
    const ear = this.ears.get(producerId);
    if (!ear) return;
    this.ears.delete(producerId);
    this.options.hooks.unheard(ear);
    ear.consumer.close();
  }

  /** Returns whether that is news. */
  setPaused(producerId: string, isPaused: boolean): boolean {
    this.#told.set(producerId, isPaused);
    const ear = this.ears.get(producerId);
    if (!ear || ear.isPaused === isPaused) return false;
    ear.isPaused = isPaused;
    return true;
  }

  /** Tells the server what the party wants: the other one is told then, and silence is not taken for a lost network. */
  async syncMute(signal: AbortSignal): Promise<void> {
    const isMuted = this.options.isMuted();
    if (!this.producer || isMuted === this.#isPaused) return;
    await this.#ask('POST', `rtc/producers/${this.producer.id}/${isMuted ? 'pause' : 'resume'}`, undefined, signal);
    this.#isPaused = isMuted;
    if (this.options.isMuted() !== isMuted) await this.syncMute(signal); // it was changed meanwhile
  }

  /** Sends this from now on; null is nothing any more. */
  send(track: MediaStreamTrack | null, signal: AbortSignal): Promise<void> {
    const before = this.#changing.catch(() => undefined);
    return (this.#changing = before.then(() => this.#send(track, signal))); // one after the other
  }

  async #send(track: MediaStreamTrack | null, signal: AbortSignal): Promise<void> {
    const { producer } = this;
    if (track && producer) await producer.replaceTrack({ track });
    else if (track) await this.#produce(track, signal);
    else if (producer) {
      this.producer = null;
      producer.close();
      await this.#ask('DELETE', `rtc/producers/${producer.id}`, undefined, signal);
    }
  }

  /** New credentials and candidates for both transports, as after a change of network (RFC 8445 §2.4). */
  async restartIce(signal: AbortSignal): Promise<void> {
    await Promise.all(
      this.#inUse.map(async (transport) => {
        const path = `rtc/transports/${transport.id}/restart-ice`;
        const { iceParameters } = await this.#ask<{ iceParameters: types.IceParameters }>(
          'POST',
          path,
          undefined,
          signal,
        );
        if (transport.connectionState !== 'new') await unlessAborted(transport.restartIce({ iceParameters }), signal);
      }),
    );
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop.abort();
    for (const id of [...this.ears.keys()]) this.unhear(id);
    this.sending.close();
    this.receiving.close();
  }

  async #begin(signal: AbortSignal): Promise<void> {
    const { track } = this.options;
    await Promise.all([track && this.#produce(track, signal), this.hearAll(signal)]);
    await this.syncMute(signal);
  }

  get #inUse(): types.Transport[] {
    return this.producer || this.options.track ? [this.sending, this.receiving] : [this.receiving];
  }

  async #produce(track: MediaStreamTrack, signal: AbortSignal): Promise<void> {
    const produced = this.sending.produce({ track, stopTracks: false, disableTrackOnPause: false, codecOptions: OPUS });
    const producer = (this.producer = await unlessAborted(produced, signal));
    this.#watchDtls(producer.rtpSender);
  }

  async #consume(producerId: string, isParty: boolean, role: Role | undefined): Promise<void> {
    const { api, callId, device, hooks } = this.options;
    const signal = this.#stop.signal;
    const body = { callId, transportId: this.receiving.id, producerId, rtpCapabilities: device.recvRtpCapabilities };
    const answer = await api.request<ConsumerCreated>('POST', 'rtc/consumers', { body, signal, ...HURRIED });
    const { consumerId: id, kind, rtpParameters, producerPaused } = answer;
    const consumer = await unlessAborted(this.receiving.consume({ id, producerId, kind, rtpParameters }), signal);
    await this.#ask('POST', `rtc/consumers/${id}/resume`, undefined, signal);
    if (!this.#consuming.has(producerId)) {
      consumer.close();
      return;
    } // it was removed meanwhile
    this.#watchDtls(consumer.rtpReceiver);
    const ear: Ear = { consumer, isParty, role, isPaused: this.#told.get(producerId) ?? producerPaused };
    this.ears.set(producerId, ear);
    const came = () => {
      this.#hasHeard = true;
      hooks.changed();
    };
    if (consumer.track.muted) consumer.track.addEventListener('unmute', came, { signal, once: true });
    else this.#hasHeard = true;
    hooks.heard(ear);
  }

  /** Long before ICE notices anything. */
  #watchDtls(end: RTCRtpSender | RTCRtpReceiver | undefined): void {
    const dtls = end?.transport;
    dtls?.addEventListener(
      'statechange',
      () => {
        if (dtls.state !== 'closed' && dtls.state !== 'failed') return;
        this.#isCut = true;
        this.options.hooks.changed();
      },
      { signal: this.#stop.signal },
    );
  }

  async #ask<Answer>(method: Method, path: string, body: object | undefined, signal: AbortSignal): Promise<Answer> {
    return askOnce(this.options.api, method, path, body, signal);
  }
}

interface OpenedTransport {
  transport: types.Transport;
  epoch: number;
  addresses: readonly string[];
}

async function openTransport(
  options: RoomOptions,
  direction: 'send' | 'recv',
  signal: AbortSignal,
): Promise<OpenedTransport> {
  const { api, device, callId } = options;
  const created = await api.request<TransportCreated>('POST', 'rtc/transports', {
    body: { callId, direction },
    signal,
    ...HURRIED,
  });
  const { transportId: id, mediaEpoch = 1, iceParameters, iceCandidates, dtlsParameters } = created;
  const settings = { id, iceParameters, dtlsParameters, ...routeOf(created, options.way) };
  const transport = direction === 'send' ? device.createSendTransport(settings) : device.createRecvTransport(settings);
  transport.on('connect', ({ dtlsParameters }, done, failed) => {
    askOnce(api, 'POST', `rtc/transports/${id}/connect`, { dtlsParameters }, signal).then(done, failed);
  });
  transport.on('produce', ({ kind, rtpParameters }, done, failed) => {
    const body = { callId, transportId: id, kind, rtpParameters };
    api.request<{ producerId: string }>('POST', 'rtc/producers', { body, signal, ...HURRIED }).then((answer) => {
      done({ id: answer.producerId });
    }, failed);
  });
  return { transport, epoch: mediaEpoch, addresses: [...new Set(iceCandidates.map(asWritten))] };
}

type Route = Pick<types.TransportOptions, 'iceCandidates' | 'iceServers' | 'iceTransportPolicy'>;

/** Throws NOT_SUPPORTED where the server has no such way. */
function routeOf({ iceCandidates, iceServers }: TransportCreated, way: Way | undefined): Route {
  if (way === undefined) return { iceCandidates, ...(iceServers && { iceServers }) };
  const route: Route =
    way === 'turn'
      ? { iceCandidates, iceServers: iceServers ?? [], iceTransportPolicy: 'relay' }
      : { iceCandidates: iceCandidates.filter(({ protocol }) => protocol === way) };
  if (way === 'turn' ? !iceServers?.length : !route.iceCandidates.length)
    throw new VoiceplaneError('NOT_SUPPORTED', `the server has no media by ${way}`);
  return route;
}

function asWritten({ address, port }: types.IceCandidate): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

const DONE_CODES = ['ALREADY_CONNECTED', 'ALREADY_RESUMED'];

/** An answer that was lost makes the same request a 409 (docs/api.md, "A retry is safe"): it is done. */
async function askOnce<Answer>(
  api: Api,
  method: Method,
  path: string,
  body: object | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  try {
    return await api.request<Answer>(method, path, { ...(body && { body }), signal, ...HURRIED });
  } catch (error) {
    if (error instanceof VoiceplaneError && DONE_CODES.includes(error.code)) return {} as Answer;
    throw error;
  }
}

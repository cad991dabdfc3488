// A call's media over all its rooms: opens one, follows the call into the next (`media_moved`), restarts ICE when the
// network is another one, and opens everything anew when that does not help; one mending at a time. Keeps the device and
// the microphone's track over all of it. Knows no person, no money, and no state of a call but whether it is over.
import type { Device } from 'mediasoup-client';
import { HURRIED } from './api';
import type { Api } from './api';
import { VoiceplaneError, asError, hasCode } from './errors';
import { Room } from './room';
import type { Ear } from './room';
import type { Role } from './token';
import { Backoff, OneAtATime, sleep } from './waiting';
import type { CallRecord, OwnMedia } from './wire';

const START_WITHIN_MS = 30_000; // as long as the server waits for the first packet
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 1000;
const FIRST_ANSWER_WITHIN_MS = 1500; // the browser may ask on a connection that died with the network: the next is a fresh one
const GRACE_MS = 800; // a connection that is `disconnected` often is back by itself
const ICE_WITHIN_MS = 5000; // else an ICE restart has not helped
const CONNECT_WITHIN_MS = 10_000;
const OLD_ROOM_FOR_MS = 10_000; // at most, whatever the server says
const MEDIA_FAILURES = 3; // in a row, after which the browser can't

export interface MediaOptions {
  api: Api;
  device: () => Promise<Device>;
  callId: string;
  role: Role | 'admin';
  /** What is sent; null where one only listens. */
  track: MediaStreamTrack | null;
  hooks: MediaHooks;
}

export interface MediaHooks {
  /** Takes in what the server is about to say of the call. Whoever sees that it is over closes this. */
  record: (answer: Promise<CallRecord>) => Promise<CallRecord>;
  /** The same person has it in another window. */
  elsewhere: () => void;
  /** Nothing helps. */
  failed: (error: VoiceplaneError) => void;
  heard: (ear: Ear) => void;
  unheard: (ear: Ear) => void;
  /** How far the connections are, or who is paused. */
  changed: () => void;
}

export class Media {
  #room: Room | null = null;
  #opening: Room | null = null;
  #retired: { room: Room; timer: ReturnType<typeof setTimeout> } | null = null;
  #track: MediaStreamTrack | null;
  #isMuted = false;
  #wantedEpoch = 0; // of which we were told
  #oldUntil = 0; // until when the room before it forwards, in ms since 1970
  #isDoubtful = false; // the network is another one: that it seems connected says nothing
  #mustAsk = false; // something failed: what the server says of the call comes first
  readonly #offered = new Map<string, number>(); // what neither party sends, by its id: the room that it is in
  #maybeMine = false; // an answer was lost: transports that we don't know may be ours
  #checkTimer: ReturnType<typeof setTimeout> | undefined;
  #connectTimer: ReturnType<typeof setTimeout> | undefined;
  #wake: () => void = () => undefined;
  readonly #mender = new OneAtATime(() => this.#mend());
  readonly #stop = new AbortController();

  constructor(private readonly options: MediaOptions) {
    this.#track = options.track;
  }

  /** The room that is in use. */
  get room(): Room | null {
    return this.#room;
  }

  /** Opens the first room. Throws where that can't be, CALL_ENDED where the call is over meanwhile. */
  start(): Promise<void> {
    return this.#mender.run();
  }

  /** Something may be wrong: a request failed, the socket is back. */
  check(): void {
    if (this.#stop.signal.aborted) return;
    this.#wake();
    this.#mender.run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.options.hooks.failed(asError(error));
    });
  }

  networkChanged(): void {
    this.#isDoubtful = true;
    this.check();
  }

  /** Nothing comes, though it should: that may be the network, long before ICE notices it. */
  soundLost(): void {
    if (!this.#mender.isRunning && this.#room?.isConnected) this.networkChanged();
  }

  /** `media_moved`; an event that comes late changes nothing. */
  moved(epoch: number, oldUntil: string | null): void {
    if (epoch <= this.#wantedEpoch) return;
    this.#wantedEpoch = epoch;
    this.#oldUntil = oldUntil === null ? 0 : Date.parse(oldUntil);
    if (epoch > (this.#room?.epoch ?? 0)) this.check();
  }

  producerAdded(producerId: string, isParty: boolean, epoch: number | undefined, role?: Role): void {
    if (!isParty) this.#offered.set(producerId, epoch ?? 1); // it is in no list: the next room is told by us
    const room = this.#opening ?? this.#room;
    if (!room) return; // the list is still to come
    if (epoch !== undefined && epoch > room.epoch) this.moved(epoch, null);
    else room.hear(producerId, isParty, role).catch(() => this.check());
  }

  producerRemoved(producerId: string): void {
    this.#offered.delete(producerId);
    this.#opening?.unhear(producerId);
    this.#room?.unhear(producerId);
  }

  /** Returns whether that is news. */
  producerPaused(producerId: string, isPaused: boolean): boolean {
    const inNext = this.#opening?.setPaused(producerId, isPaused) ?? false;
    return (this.#room?.setPaused(producerId, isPaused) ?? false) || inNext;
  }

  async mute(isMuted: boolean): Promise<void> {
    this.#isMuted = isMuted;
    try {
      await this.#room?.syncMute(this.#stop.signal);
    } catch (error) {
      if (hasCode(error, 'INVALID_CALL_STATE')) throw error; // the node itself has paused it, for a flood
      this.check(); // it is told as soon as the server is there again
    }
  }

  setTrack(track: MediaStreamTrack | null): void {
    this.#track = track;
    this.#room?.send(track, this.#stop.signal).catch(() => this.check());
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new VoiceplaneError('CALL_ENDED'));
    clearTimeout(this.#checkTimer);
    clearTimeout(this.#connectTimer);
    this.#closeRetired();
    this.#opening?.close();
    this.#room?.close();
  }

  async #mend(): Promise<void> {
    const { signal } = this.#stop;
    const backoff = new Backoff(FIRST_WAIT_MS, LONGEST_WAIT_MS);
    const startBy = this.#room ? Infinity : performance.now() + START_WITHIN_MS;
    let mediaFailures = 0;
    let withinMs: number = FIRST_ANSWER_WITHIN_MS;
    for (;;) {
      signal.throwIfAborted();
      try {
        await this.#mendOnce(signal, withinMs);
        if (this.#wantedEpoch <= (this.#room?.epoch ?? 0)) return; // else it has moved on meanwhile
      } catch (error) {
        signal.throwIfAborted();
        this.#mustAsk = true;
        withinMs = HURRIED.withinMs;
        mediaFailures += hasCode(error, 'MEDIA_FAILED') ? 1 : 0;
        if (!mayPass(error) || mediaFailures >= MEDIA_FAILURES || performance.now() > startBy) throw error;
      }
      await sleep(backoff.next(), signal, (wake) => (this.#wake = wake));
    }
  }

  /** Throws where it has to be tried again. */
  async #mendOnce(signal: AbortSignal, withinMs: number): Promise<void> {
    const room = this.#room;
    const isBehind = !room || this.#wantedEpoch > room.epoch;
    if (isBehind && !this.#mustAsk) return this.#rebuild(signal);
    const { api, callId, hooks } = this.options;
    const record = await hooks.record(api.request('GET', `calls/${callId}`, { signal, withinMs }));
    signal.throwIfAborted(); // it is over
    this.#wantedEpoch = Math.max(this.#wantedEpoch, record.mediaEpoch ?? 1);
    if (!room || this.#wantedEpoch > room.epoch) return this.#rebuild(signal);
    const whose = whoseIs(room, record.media);
    if (whose === 'another' && !this.#maybeMine) this.options.hooks.elsewhere();
    signal.throwIfAborted();
    if (whose !== 'ours' || !(await this.#restore(room, signal))) await this.#rebuild(signal);
    this.#mustAsk = false;
  }

  /** Returns whether the room is well again. */
  async #restore(room: Room, signal: AbortSignal): Promise<boolean> {
    await room.hearAll(signal);
    await room.syncMute(signal);
    if (room.isCut) return false;
    if (!room.isLost && !this.#isDoubtful) return true;
    await room.restartIce(signal);
    this.#isDoubtful = false;
    return this.#connects(room, signal);
  }

  /** Whether it does in time; an answer that does not matter any more is yes. */
  async #connects(room: Room, signal: AbortSignal): Promise<boolean> {
    const until = performance.now() + ICE_WITHIN_MS;
    for (;;) {
      const left = until - performance.now();
      if (room.isConnected || this.#wantedEpoch > room.epoch) return true;
      if (left <= 0) return false;
      await sleep(left, signal, (wake) => (this.#wake = wake));
    }
  }

  async #rebuild(signal: AbortSignal): Promise<void> {
    const { api, callId, role, hooks } = this.options;
    const device = await this.options.device();
    signal.throwIfAborted();
    const options = { api, device, callId, role, track: this.#track, isMuted: () => this.#isMuted };
    const roomHooks = {
      begun: (room: Room) => this.#begun(room),
      heard: hooks.heard,
      unheard: hooks.unheard,
      changed: () => this.#changed(),
    };
    try {
      const fresh = await Room.open({ ...options, hooks: roomHooks }, signal, () => (this.#maybeMine = true));
      this.#use(fresh);
    } finally {
      this.#opening = null;
    }
  }

  #begun(room: Room): void {
    this.#opening = room;
    for (const [producerId, epoch] of this.#offered) {
      if (epoch < room.epoch)
        this.#offered.delete(producerId); // it went with its room
      else room.hear(producerId, false).catch(() => this.check());
    }
  }

  #use(fresh: Room): void {
    const old = this.#room;
    this.#room = fresh;
    this.#maybeMine = this.#mustAsk = this.#isDoubtful = false;
    if ((fresh.producer?.track ?? null) !== this.#track) this.setTrack(this.#track);
    if (old) this.#retire(old, fresh.epoch > old.epoch ? this.#oldUntil - Date.now() : 0);
    clearTimeout(this.#connectTimer);
    this.#connectTimer = setTimeout(() => {
      if (!fresh.isConnected) this.networkChanged();
    }, CONNECT_WITHIN_MS);
    this.#changed();
  }

  /** The room before goes as soon as the new one is proven, or forwards no more. */
  #retire(room: Room, forMs: number): void {
    this.#closeRetired();
    if (forMs <= 0) return room.close();
    const timer = setTimeout(() => this.#closeRetired(), Math.min(forMs, OLD_ROOM_FOR_MS));
    this.#retired = { room, timer };
  }

  #closeRetired(): void {
    clearTimeout(this.#retired?.timer);
    this.#retired?.room.close();
    this.#retired = null;
  }

  /** A transport's state is another one, or sound has come. */
  #changed(): void {
    const room = this.#room;
    if (!room || this.#stop.signal.aborted) return;
    if (room.isProven) this.#closeRetired();
    if (room.isConnected) this.#wake();
    clearTimeout(this.#checkTimer);
    if (room.isLost) this.#checkTimer = setTimeout(() => this.check(), room.isCut ? 0 : GRACE_MS);
    this.options.hooks.changed();
  }
}

const PASSING_CODES = [
  'MEDIA_FAILED',
  'TOKEN_FAILED',
  'TRANSPORT_LIMIT_EXCEEDED',
  'INVALID_CALL_STATE',
  'PRODUCER_ALREADY_EXISTS',
];

/** Whether the same may succeed later. What is not found may be in a room that is just being opened. */
function mayPass(error: unknown): boolean {
  const { isTransient, status, code } = asError(error);
  return isTransient || (status === 404 && code !== 'CALL_NOT_FOUND') || PASSING_CODES.includes(code);
}

/** Whose the transports are that the server has of this party. */
export function whoseIs(
  room: { sending: { id: string }; receiving: { id: string } },
  media: OwnMedia | null | undefined,
): 'ours' | 'another' | 'nobody' {
  const ids = new Set(media?.transports.map((one) => one.transportId));
  if (ids.has(room.sending.id) && ids.has(room.receiving.id)) return 'ours';
  ids.delete(room.sending.id);
  ids.delete(room.receiving.id);
  return ids.size ? 'another' : 'nobody';
}

// A room in which one hears oneself (docs/api.md, "A preflight"): media goes to the server and comes back, by one way at a
// time. Nothing of it is left once it is closed.
import type { Device } from 'mediasoup-client';
import type { Api } from './api';
import { VoiceplaneError } from './errors';
import { Room } from './room';
import type { Way } from './room';
import { statsOf } from './stats';
import type { Role } from './token';
import { sleep } from './waiting';
import { heardBetween } from './watch';

const CONNECTED_WITHIN_MS = 6000; // of each way: all of them fit into the room's half minute
const LISTEN_FOR_MS = 3000;

export class Echo {
  private constructor(
    private readonly api: Api,
    private readonly device: Device,
    private readonly callId: string,
    private readonly track: MediaStreamTrack,
    private readonly soundless: RTCPeerConnection | null,
  ) {}

  /** `track` is what is sent; without one connections are made, and nothing is heard. Throws VoiceplaneError. */
  static async open(api: Api, device: Device, track: MediaStreamTrack | null): Promise<Echo> {
    const { callId } = await api.request<{ callId: string }>('POST', 'rtc/preflights');
    if (track) return new Echo(api, device, callId, track, null);
    const soundless = new RTCPeerConnection();
    const { receiver } = soundless.addTransceiver('audio'); // a track for which a page needs nobody's leave
    return new Echo(api, device, callId, receiver.track, soundless);
  }

  /**
   * Connects both ways. Returns how it sounds, 1 to 4.4, where it `listens` and anything comes. Throws VoiceplaneError:
   * NOT_SUPPORTED where the server has no such way.
   */
  async by(way: Way, listens: boolean): Promise<number | null> {
    const limit = new AbortController();
    const late = new VoiceplaneError('NETWORK', `no connection by ${way} within ${CONNECTED_WITHIN_MS / 1000} s`);
    const timer = setTimeout(() => limit.abort(late), CONNECTED_WITHIN_MS);
    let room: Room | null = null;
    try {
      room = await this.#connected(way, limit.signal);
      clearTimeout(timer);
      return listens ? await heardIn(room) : null;
    } finally {
      clearTimeout(timer);
      room?.close();
    }
  }

  async close(): Promise<void> {
    this.soundless?.close();
    await this.api.request('DELETE', `rtc/preflights/${this.callId}`).catch(() => undefined); // it closes by itself
  }

  async #connected(way: Way, signal: AbortSignal): Promise<Room> {
    let wake: () => void = () => undefined;
    const { api, device, callId, track } = this;
    const nobody = () => undefined;
    const hooks = { begun: nobody, heard: nobody, unheard: nobody, changed: () => wake() };
    const options = { api, device, callId, role: this.#notMine, track, isMuted: () => false, hooks, way };
    const room = await Room.open(options, signal, nobody);
    try {
      await room.hearAll(signal); // one's own producer, which was not there yet
      while (!isConnected(room)) await sleep(CONNECTED_WITHIN_MS, signal, (given) => (wake = given));
      return room;
    } catch (error) {
      room.close();
      throw error;
    }
  }

  /** A room hears whoever has another role: here, oneself. */
  get #notMine(): Role {
    return this.api.tokens.identity.role === 'otomo' ? 'user' : 'otomo';
  }
}

function isConnected({ sending, receiving }: Room): boolean {
  return sending.connectionState === 'connected' && receiving.connectionState === 'connected';
}

/** The mean opinion score; null where nothing comes. */
async function heardIn(room: Room): Promise<number | null> {
  const before = await statsOf(room);
  await sleep(LISTEN_FOR_MS, new AbortController().signal);
  return heardBetween(before, await statsOf(room))?.mos ?? null;
}

// Whether a call would work, looked at without one: the microphone, the API, the WebSocket, and the way to the media.
import type { Api } from './api';
import { asError } from './errors';
import type { VoiceplaneError } from './errors';
import { Engine } from './engine';
import { Microphone } from './microphone';
import { Socket } from './socket';

/** What can be had: true, or the failure; null is what could not be looked at. */
export interface PreflightReport {
  microphone: true | VoiceplaneError;
  http: true | VoiceplaneError;
  websocket: true | VoiceplaneError;
  udp: true | VoiceplaneError | null;
  tcp: true | VoiceplaneError | null;
  turn: true | VoiceplaneError | null;
  /** To the server and back, by HTTP. */
  roundTripMs: number | null;
  mos: number | null;
}

const ROUNDS = 3; // of which the quickest counts: the first opens the connection

export async function preflight(api: Api): Promise<PreflightReport> {
  const [microphone, [http, roundTripMs]] = await Promise.all([worked(openMicrophone), timed(api)]);
  const websocket = http === true ? await worked(() => openSocket(api)) : http;
  return { microphone, http, websocket, udp: null, tcp: null, turn: null, roundTripMs, mos: null };
}

async function worked(what: () => Promise<void>): Promise<true | VoiceplaneError> {
  try {
    await what();
    return true;
  } catch (error) {
    return asError(error, 'NETWORK');
  }
}

async function openMicrophone(): Promise<void> {
  const nobody = () => undefined;
  (await Microphone.open(undefined, new Engine(), { track: nobody, silent: nobody, changed: nobody })).close();
}

async function openSocket(api: Api): Promise<void> {
  const nobody = () => undefined;
  const socket = new Socket(api, { event: nobody, up: nobody, down: nobody, over: nobody }, 15_000);
  await socket.open();
  socket.close();
}

async function timed(api: Api): Promise<[true | VoiceplaneError, number | null]> {
  let quickest = Infinity;
  const result = await worked(async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const begun = performance.now();
      await api.request('GET', 'rtc/capabilities');
      quickest = Math.min(quickest, performance.now() - begun);
    }
  });
  return [result, result === true ? Math.round(quickest) : null];
}

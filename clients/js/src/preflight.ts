// Whether a call would work, looked at without one: the microphone, the API, the WebSocket, and the ways to the server's
// media, in a room where one hears oneself.
import type { Api } from './api';
import { loadedDevice } from './device';
import { Engine } from './engine';
import { Echo } from './echo';
import { VoiceplaneError, asError, hasCode } from './errors';
import { Microphone } from './microphone';
import type { Way } from './room';
import { Socket } from './socket';

/** What can be had: true, or the failure; null is what could not be looked at. */
export interface PreflightReport {
  microphone: true | VoiceplaneError;
  http: true | VoiceplaneError;
  websocket: true | VoiceplaneError;
  /** Media by UDP to the server itself. */
  udp: true | VoiceplaneError | null;
  /** Media by TCP to the server itself; null also where the server has none. */
  tcp: true | VoiceplaneError | null;
  /** Media by the TURN server; null also where the server names none. */
  turn: true | VoiceplaneError | null;
  /** To the server and back, by HTTP. */
  roundTripMs: number | null;
  /** How one's own sound comes back by the first of these ways that works, 1 to 4.4. */
  mos: number | null;
}

type Media = Pick<PreflightReport, Way | 'mos'>;

const WAYS: readonly Way[] = ['udp', 'tcp', 'turn']; // the best first
const NOT_LOOKED_AT: Media = { udp: null, tcp: null, turn: null, mos: null };
const ROUNDS = 3; // of which the quickest counts: the first opens the connection

export async function preflight(api: Api): Promise<PreflightReport> {
  const engine = new Engine();
  const [microphone, [http, roundTripMs]] = await Promise.all([opened(engine), timed(api)]);
  const isHad = microphone instanceof Microphone;
  try {
    const websocket = http === true ? await worked(() => openSocket(api)) : http;
    const track = isHad ? microphone.track : engine.tone();
    const media = http === true ? await lookAtMedia(api, track) : NOT_LOOKED_AT;
    return { microphone: isHad ? true : microphone, http, websocket, ...media, roundTripMs };
  } finally {
    if (isHad) microphone.close();
    engine.close();
  }
}

/** One way after another, in one room, since a person has one. */
async function lookAtMedia(api: Api, track: MediaStreamTrack | null): Promise<Media> {
  const media = { ...NOT_LOOKED_AT };
  let echo: Echo;
  try {
    echo = await Echo.open(api, await loadedDevice(api), track);
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND' as never)) return media; // an older server
    const failure = asError(error, 'NETWORK');
    return { ...media, udp: failure, tcp: failure };
  }
  try {
    for (const way of WAYS) {
      try {
        const mos = await echo.by(way, media.mos === null);
        media[way] = true;
        media.mos ??= mos;
      } catch (error) {
        media[way] = hasCode(error, 'NOT_SUPPORTED') ? null : asError(error);
      }
    }
  } finally {
    await echo.close();
  }
  return media;
}

async function worked(what: () => Promise<void>): Promise<true | VoiceplaneError> {
  try {
    await what();
    return true;
  } catch (error) {
    return asError(error, 'NETWORK');
  }
}

async function opened(engine: Engine): Promise<Microphone | VoiceplaneError> {
  const nobody = () => undefined;
  try {
    return await Microphone.open(undefined, engine, { track: nobody, silent: nobody, changed: nobody });
  } catch (error) {
    return asError(error, 'MICROPHONE_BUSY');
  }
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

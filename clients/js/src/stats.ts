// What the browser counts (W3C webrtc-stats), brought down to what a call needs. Judges nothing.
import { VoiceplaneError } from './errors';
import type { Room } from './room';

const ANSWERED_WITHIN_MS = 2000; // Firefox never answers for a connection that is closed meanwhile

/** Of one call, from its beginning in this room; what the browser does not say is null. */
export interface CallStats {
  sent: { packets: number; bytes: number };
  received: { packets: number; bytes: number; lost: number };
  /** Mean deviation of the transit time of what is received (RFC 3550 §6.4.1). */
  jitterMs: number | null;
  /** To the server and back. */
  roundTripMs: number | null;
  /** How media gets to the server: `relay` is TURN. */
  path: 'udp' | 'tcp' | 'relay' | null;
  /** How far the two transports are: sound can't come while one is not connected. */
  connection: { sending: RTCPeerConnectionState; receiving: RTCPeerConnectionState };
  /** Where the server says that its media is, as in `192.0.2.1:40000`. */
  serverAddresses: readonly string[];
  /** The sound that the microphone gave since it was opened, as a sum of squares by time. */
  microphoneEnergy: number | null;
}

type Report = Partial<Record<string, number | string | boolean>> & { type: string };

async function inTime<Value>(answer: Promise<Value>): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, failed) => {
    timer = setTimeout(() => failed(new VoiceplaneError('CLOSED', 'the browser counts no more')), ANSWERED_WITHIN_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Throws CLOSED where the browser does not answer. */
export async function statsOf(room: Room): Promise<CallStats> {
  const [sending, receiving] = await Promise.all(
    [room.sending, room.receiving].map(async (one) => {
      return [...(await inTime(one.getStats())).values()] as Report[];
    }),
  );
  const [sent, received] = [sending ?? [], receiving ?? []];
  const arrived = received.filter((one) => one.type === 'inbound-rtp');
  const left = sent.filter((one) => one.type === 'outbound-rtp');
  const remote = sent.find((one) => one.type === 'remote-inbound-rtp');
  const pair = pairOf(sent);
  return {
    sent: { packets: sum(left, 'packetsSent'), bytes: sum(left, 'bytesSent') },
    received: {
      packets: sum(arrived, 'packetsReceived'),
      bytes: sum(arrived, 'bytesReceived'),
      lost: sum(arrived, 'packetsLost'),
    },
    jitterMs: inMs(Math.max(-1, ...arrived.map((one) => numberOf(one, 'jitter') ?? -1))),
    roundTripMs: inMs(numberOf(remote, 'roundTripTime') ?? numberOf(pair, 'currentRoundTripTime') ?? -1),
    path: pathOf(sent, pair),
    connection: { sending: room.sending.connectionState, receiving: room.receiving.connectionState },
    serverAddresses: room.serverAddresses,
    microphoneEnergy: numberOf(
      sent.find((one) => one.type === 'media-source'),
      'totalAudioEnergy',
    ),
  };
}

/** The pair of candidates that is in use. */
function pairOf(reports: Report[]): Report | undefined {
  const selected = reports.find((one) => one.type === 'transport')?.selectedCandidatePairId;
  const pairs = reports.filter((one) => one.type === 'candidate-pair');
  return (
    pairs.find((one) => one.id === selected || one.selected === true) ?? pairs.find((one) => one.nominated === true)
  );
}

function pathOf(reports: Report[], pair: Report | undefined): CallStats['path'] {
  const local = reports.find((one) => one.type === 'local-candidate' && one.id === pair?.localCandidateId);
  if (!local) return null;
  if (local.candidateType === 'relay') return 'relay';
  return local.protocol === 'tcp' ? 'tcp' : 'udp';
}

function numberOf(report: Report | undefined, name: string): number | null {
  const value = report?.[name];
  return typeof value === 'number' ? value : null;
}

function sum(reports: Report[], name: string): number {
  return reports.reduce((total, one) => total + (numberOf(one, name) ?? 0), 0);
}

function inMs(seconds: number): number | null {
  return seconds < 0 ? null : Math.round(seconds * 10_000) / 10;
}

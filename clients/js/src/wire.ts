// The shapes of answers and events that this library reads: of each, what it reads (docs/api.md has the rest).
import type { types } from 'mediasoup-client';
import type { Role } from './token';

export interface CallRecord {
  callId: string;
  userId: string;
  otomoId: string;
  state: string;
  pricePerMinute: number;
  createdAt: string;
  acceptedAt: string | null;
  connectedAt: string | null;
  endedAt: string | null;
  endReason: string | null;
  durationSeconds: number | null;
  billedPoints: number;
  metadata?: Record<string, string>;
  /** Rises with each room that the call gets. */
  mediaEpoch?: number;
  /** What the asking party has in the room; only of one call, and while it lives. */
  media?: OwnMedia | null;
}

export interface OwnMedia {
  transports: { transportId: string; direction: 'send' | 'recv' }[];
}

export interface CallList {
  calls: CallRecord[];
  nextCursor: string | null;
}

export interface CallAck {
  callId: string;
  state: string;
}

export interface TransportCreated {
  transportId: string;
  iceParameters: types.IceParameters;
  iceCandidates: types.IceCandidate[];
  dtlsParameters: types.DtlsParameters;
  iceServers?: RTCIceServer[];
  mediaEpoch?: number;
}

export interface ConsumerCreated {
  consumerId: string;
  producerId: string;
  kind: types.MediaKind;
  rtpParameters: types.RtpParameters;
  producerPaused: boolean;
}

export interface ListedProducer {
  producerId: string;
  role: Role;
  kind: types.MediaKind;
  paused: boolean;
  /** Where it is no party's voice. */
  source?: string;
}

export type SupervisionMode = 'listen' | 'whisper' | 'barge';

export interface SupervisionRecord {
  supervisionId: string;
  mode: SupervisionMode;
  to: Role | null;
}

export type OtomoStatus = 'online' | 'away' | 'busy' | 'offline';

/** The payload of each event that this library knows. */
export interface EventPayloads {
  incoming_call: { callId: string; userId: string; createdAt: string; expiresAt: string; pricePerMinute: number };
  call_accepted: { callId: string };
  call_rejected: { callId: string; reason?: string };
  call_connected: { callId: string; connectedAt: string };
  call_interrupted: {
    callId: string;
    /** Whose sound is missing; null where the room is lost. */
    userId: string | null;
    role: Role | null;
    reason: string;
    since: string;
    until: string;
  };
  call_resumed: { callId: string; interruptedSeconds: number };
  call_ending: {
    callId: string;
    reason: string;
    secondsLeft: number;
    at: string;
    /** To the user alone, where points would let the call go on for a unit more. */
    pointsNeeded?: number;
  };
  call_silent: { callId: string; at: string; silentSeconds: number; endsAt: string | null };
  call_tick: TickPayload;
  call_end: { callId: string; reason: string; durationSeconds: number; totalChargedPoints: number; endedAt: string };
  media_moved: { callId: string; mediaEpoch: number; reason: string; oldMediaUntil: string | null };
  node_draining: { callId: string; deadlineAt: string | null };
  producer_added: ProducerPayload;
  producer_removed: ProducerPayload;
  producer_paused: ProducerPayload;
  producer_resumed: ProducerPayload;
  supervision: { callId: string; supervisionId: string; mode: SupervisionMode; to: Role | null; mediaEpoch: number };
  supervision_ended: { callId: string; supervisionId: string; reason: string };
  otomo_list: { otomos: { otomoId: string; status: OtomoStatus }[] };
  otomo_status: { otomoId: string; status: OtomoStatus };
  wallet_update: { balance: number; reason: string };
}

export interface ProducerPayload {
  callId: string;
  producerId: string;
  /** Null where it is no party's. */
  role?: Role | null;
  mediaEpoch?: number;
  source?: string;
  /** Why the node did it, as in `flood`. */
  reason?: string;
}

export interface TickPayload {
  callId: string;
  tickNumber: number;
  chargedPoints: number;
  totalChargedPoints: number;
  durationSeconds: number;
  /** To the user alone. */
  userBalance?: number | null;
  /** To the user alone. */
  remainingSeconds?: number | null;
  timestamp: string;
  status: 'ok' | 'low_balance' | 'ended';
}

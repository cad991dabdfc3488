// What a call tells: the name and the payload of each event.
import type { VoiceplaneError } from './errors';
import type { SilenceCause } from './microphone';
import type { CallState } from './states';
import type { QualityReport } from './watch';
import type { EventPayloads } from './wire';

/** How a call went; null is what is not known here. */
export interface CallSummary {
  /** The server's `endReason`; `elsewhere` where it goes on in another window of the same person. */
  reason: string;
  durationSeconds: number | null;
  totalChargedPoints: number | null;
  /** Whether any sound came to the server, without which nothing is charged. */
  wasConnected: boolean | null;
}

export interface CallEvents {
  state: { state: CallState; was: CallState };
  accepted: { callId: string };
  /** Sound has reached the server for the first time: the clock runs. */
  connected: { callId: string; connectedAt: Date };
  /** A unit was charged. */
  tick: EventPayloads['call_tick'];
  /** The call will end soon, and why. */
  ending: EventPayloads['call_ending'];
  /** Nobody has spoken for long; unless somebody does, the call ends at `endsAt`, if there is one. */
  silent: EventPayloads['call_silent'];
  /** One of both is not heard by the server, or the room is lost: the clock stands. `who` is null for a room. */
  interrupted: EventPayloads['call_interrupted'] & { who: 'me' | 'other' | null };
  resumed: EventPayloads['call_resumed'];
  /** The call has another room, into which this follows by itself. */
  moved: EventPayloads['media_moved'];
  /** The node is about to stop; `deadlineAt` null takes that back. */
  draining: EventPayloads['node_draining'];
  /** The word for how it sounds is another one. */
  quality: QualityReport;
  remotemuted: { muted: boolean };
  /** The microphone gives nothing, though it is not muted, or does again. */
  silentmicrophone: { silent: boolean; cause: SilenceCause | null };
  /** Another microphone is in use. */
  microphone: { deviceId: string; label: string };
  /** The browser plays nothing until the page is touched, or plays now. */
  playback: { blocked: boolean };
  /** What failed where nobody waited for it. */
  error: VoiceplaneError;
  ended: CallSummary;
}

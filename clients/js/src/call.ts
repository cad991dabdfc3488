// One call as a person has it: it rings, is answered, talks, and is over. Holds the state and who may do what; what is sent
// and heard is Line's.
import type { Device } from 'mediasoup-client';
import type { Api, RequestOptions } from './api';
import type { CallEvents, CallSummary } from './call-events';
import { Course } from './course';
import { Emitter } from './emitter';
import { VoiceplaneError, asError, hasCode } from './errors';
import { Line } from './line';
import type { MicrophoneChoice } from './microphone';
import type { Quality } from './quality';
import { stateOf } from './states';
import type { CallState } from './states';
import type { CallStats } from './stats';
import { summaryOf, unknownEnd } from './summary';
import { sleep } from './waiting';
import type { QualityReport } from './watch';
import type { CallAck, CallRecord, EventPayloads } from './wire';

const COMMAND_FOR_MS = 10_000; // as long as a command is tried again where no answer comes
const SUMMARY_WITHIN_MS = 1000; // after the answer to a hang-up, in which the socket says how it went

export interface JoinOptions {
  /** A device's id, constraints, or a track of the page's own, which stays the page's. */
  microphone?: MicrophoneChoice | undefined;
}

export interface CallOptions extends JoinOptions {
  /** Up to 16 texts, which are in the call's record. */
  metadata?: Record<string, string>;
}

/** What a call needs of the client that it belongs to. */
export interface CallContext {
  readonly api: Api;
  readonly plays: boolean;
  readonly me: { id: string; role: 'user' | 'otomo' };
  device(): Promise<Device>;
  /** It has media now, or has it no more. */
  activityChanged(): void;
  over(call: Call): void;
  /** Nothing is heard any more: is there a network? */
  soundLost(call: Call): void;
}

/** What is known of a call that is being placed. */
export type NewCall = Pick<CallRecord, 'callId' | 'userId' | 'otomoId' | 'state'> & Partial<CallRecord>;

export class Call extends Emitter<CallEvents> {
  readonly callId: string;
  readonly userId: string;
  readonly otomoId: string;
  readonly direction: 'incoming' | 'outgoing';
  metadata: Readonly<Record<string, string>> = {};
  pricePerMinute = 0;
  connectedAt: Date | null = null;
  /** How it went, once it has ended. */
  summary: CallSummary | null = null;
  #isAccepting = false;
  #joining: Promise<void> | null = null;
  #hangingUp: Promise<void> | null = null;
  readonly #course: Course;
  readonly #line: Line;
  readonly #over = new AbortController();

  /** @internal */
  constructor(
    private readonly context: CallContext,
    record: NewCall,
  ) {
    super();
    [this.callId, this.userId, this.otomoId] = [record.callId, record.userId, record.otomoId];
    this.direction = context.me.role === 'otomo' ? 'incoming' : 'outgoing';
    this.#course = new Course(stateOf(record.state));
    this.#describe(record);
    this.#line = new Line({
      api: context.api,
      device: () => context.device(),
      callId: this.callId,
      role: context.me.role,
      plays: context.plays,
      hooks: {
        tell: (name, payload) => this.emit(name, payload),
        record: (answer) => this.#heed(answer),
        elsewhere: () => this.#end(unknownEnd('elsewhere')),
        failed: (error) => this.#fail(error),
        lost: () => context.soundLost(this),
      },
    });
  }

  get state(): CallState {
    return this.#course.state;
  }

  /** Whether this window takes part in it. */
  get isJoined(): boolean {
    return this.#line.microphone !== null;
  }

  get isMuted(): boolean {
    return this.#line.isMuted;
  }

  get isRemoteMuted(): boolean {
    return this.#line.sound.isMuted;
  }

  /** The same stream all call long, whatever happens to the media: for who plays it on their own (`play: false`). */
  get remoteStream(): MediaStream {
    return this.#line.sound.stream;
  }

  /** How loud one's own microphone is right now, 0 to 1. */
  get level(): number {
    return this.#line.microphone?.level ?? 0;
  }

  /** How loud the other party is right now, 0 to 1. */
  get remoteLevel(): number {
    return this.#line.sound.level;
  }

  get quality(): Quality {
    return this.#line.quality;
  }

  /** Whether the browser waits for a touch of the page before it plays anything. */
  get isPlaybackBlocked(): boolean {
    return this.#line.sound.isBlocked;
  }

  /** The otomo's answer. Resolves when the sound is on its way; rejects with a `code`, and leaves no microphone open. */
  accept(options: JoinOptions = {}): Promise<void> {
    if (this.direction !== 'incoming')
      return Promise.reject(new VoiceplaneError('INVALID_CALL_STATE', 'one accepts incoming calls'));
    return this.#takePart(options, async (signal) => {
      if (this.state !== 'ringing') return;
      this.#isAccepting = true;
      await this.context.api.patiently<CallAck>('POST', `calls/${this.callId}/accept`, { signal }, COMMAND_FOR_MS);
      this.#become('connecting');
    });
  }

  /** Takes part in a call that is there: after a reload, in a new tab, or one that the back end has matched. */
  join(options: JoinOptions = {}): Promise<void> {
    const rings = this.state === 'ringing' && this.direction === 'incoming';
    return rings ? this.accept(options) : this.#takePart(options, () => Promise.resolve());
  }

  /** The otomo declines. */
  reject(reason?: string): Promise<void> {
    return this.hangUp(reason);
  }

  /**
   * Ends it for both, from whatever state. The microphone is closed at once, and nothing is left when this resolves. Where
   * the server can't be told it rejects with `NETWORK`: the call is over here all the same, and there when nothing comes.
   */
  async hangUp(reason?: string): Promise<void> {
    if (this.state === 'ended') return;
    await (this.#hangingUp ??= this.#tellTheEnd(reason));
  }

  /** The other party is told. */
  mute(muted = true): Promise<void> {
    return this.#line.mute(muted);
  }

  /** Another microphone, in mid-call. The one before stays in use until it is there. */
  async setMicrophone(choice: MicrophoneChoice): Promise<void> {
    const { microphone } = this.#line;
    if (!microphone) throw new VoiceplaneError('INVALID_CALL_STATE', 'this window does not take part in the call');
    await microphone.change(choice);
  }

  /** Plays the sound that the browser held back: call it from a click. Returns whether it plays. */
  startAudio(): Promise<boolean> {
    return this.#line.sound.start();
  }

  /** What the network does right now, or null while there is no media. */
  stats(): Promise<(CallStats & QualityReport) | null> {
    return this.#line.stats();
  }

  /** @internal Rings the otomo. */
  place(options: CallOptions): Promise<void> {
    const { metadata } = options;
    return this.#takePart(options, async (signal) => {
      const body = { callId: this.callId, otomoId: this.otomoId, ...(metadata && { metadata }) };
      await this.context.api.patiently<CallAck>('POST', 'calls', { body, signal }, COMMAND_FOR_MS);
    });
  }

  /** @internal The socket is back: whatever was missed is asked for. */
  async resync(): Promise<void> {
    const { media } = this.#line;
    if (media) {
      media.check();
      return;
    }
    try {
      const options = { signal: this.#over.signal };
      await this.#ask(options);
    } catch (error) {
      if (hasCode(error, 'CALL_NOT_FOUND') && !this.#joining) this.#end(unknownEnd('unknown'));
    }
  }

  /** @internal */
  soundLost(): void {
    this.#line.media?.soundLost();
  }

  /** @internal */
  networkChanged(): void {
    this.#line.media?.networkChanged();
  }

  /** @internal */
  get hasMedia(): boolean {
    return this.#line.media !== null;
  }

  /** @internal An event of this call. */
  handle<Type extends keyof EventPayloads>(type: Type, payload: EventPayloads[Type]): void {
    if (this.state === 'ended') return;
    const handler = this.#handlers[type] as ((payload: EventPayloads[Type]) => void) | undefined;
    handler?.(payload);
  }

  readonly #handlers: { [Type in keyof EventPayloads]?: (payload: EventPayloads[Type]) => void } = {
    call_accepted: () => this.#become(this.#course.told('accepted')),
    call_connected: ({ connectedAt }) => {
      this.connectedAt = new Date(connectedAt);
      this.#become(this.#course.told('connected'));
    },
    call_interrupted: (payload) => {
      const who = payload.role && (payload.role === this.context.me.role ? 'me' : 'other');
      this.#become(this.#course.told('interrupted'));
      this.emit('interrupted', { ...payload, who }); // also where an answer has told the state before
    },
    call_resumed: (payload) => {
      this.#become(this.#course.told('resumed'));
      this.emit('resumed', payload);
    },
    call_tick: (payload) => this.emit('tick', payload),
    call_ending: (payload) => this.emit('ending', payload),
    call_silent: (payload) => this.emit('silent', payload),
    call_end: (payload) => {
      this.#end({ ...payload, wasConnected: this.connectedAt !== null });
    },
    node_draining: (payload) => this.emit('draining', payload),
    media_moved: (payload) => {
      this.#line.media?.moved(payload.mediaEpoch, payload.oldMediaUntil);
      this.emit('moved', payload);
    },
    producer_added: ({ producerId, mediaEpoch, source, role }) =>
      this.#line.media?.producerAdded(producerId, !source, mediaEpoch, role ?? undefined),
    producer_removed: ({ producerId }) => this.#line.media?.producerRemoved(producerId),
    producer_paused: (payload) => {
      const { role, reason } = payload;
      if (role === this.context.me.role && reason)
        this.emit('error', new VoiceplaneError('FLOOD', 'the server has paused the microphone'));
      else this.#line.pausedChanged(payload, true);
    },
    producer_resumed: (payload) => this.#line.pausedChanged(payload, false),
  };

  #describe(record: Partial<CallRecord>): void {
    this.pricePerMinute = record.pricePerMinute ?? this.pricePerMinute;
    this.metadata = record.metadata ?? this.metadata;
    if (record.connectedAt) this.connectedAt = new Date(record.connectedAt);
  }

  /** What the server says of it, taken in. It may have been written before what events have told meanwhile. */
  async #heed(answer: Promise<CallRecord>): Promise<CallRecord> {
    const answered = this.#course.ask();
    const record = await answer;
    this.#describe(record);
    const state = answered(record.state);
    if (state === 'ended' && this.state !== 'ended') this.#end(summaryOf(record));
    else this.#become(state);
    return record;
  }

  /** Returns whether the state is another one now. */
  #become(state: CallState): boolean {
    const was = this.state;
    if (state === was || was === 'ended') return false;
    if (was === 'ringing' && this.direction === 'incoming' && !this.#isAccepting && !this.hasMedia) {
      this.#end(unknownEnd('elsewhere')); // another window has answered
      return false;
    }
    this.#course.state = state;
    this.emit('state', { state, was });
    if (was === 'ringing') this.emit('accepted', { callId: this.callId });
    if (state === 'talking' && was !== 'interrupted')
      this.emit('connected', { callId: this.callId, connectedAt: this.connectedAt ?? new Date() });
    if (this.direction === 'outgoing' && this.isJoined && !this.hasMedia) {
      this.#startMedia().catch((error: unknown) => this.#fail(error));
    }
    return true;
  }

  /** Once, however often it is asked for. `first` is what has to be said to the server, with the microphone in hand. */
  #takePart(options: JoinOptions, first: (signal: AbortSignal) => Promise<void>): Promise<void> {
    return (this.#joining ??= this.#join(options, first).catch((error: unknown) => {
      this.#joining = null;
      this.#isAccepting = false;
      throw this.#over.signal.aborted ? this.#over.signal.reason : asError(error);
    }));
  }

  async #join({ microphone }: JoinOptions, first: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#over;
    signal.throwIfAborted();
    await this.#line.open(microphone, signal);
    try {
      await first(signal);
      signal.throwIfAborted();
      if (this.state !== 'ringing' && !this.hasMedia) await this.#startMedia();
    } catch (error) {
      this.#line.drop();
      throw error;
    }
  }

  async #startMedia(): Promise<void> {
    const starting = this.#line.start();
    this.context.activityChanged();
    try {
      await starting;
    } catch (error) {
      if (!this.#over.signal.aborted) this.hangUp(asError(error).code).catch(() => undefined); // nobody waits for a silence
      throw error;
    }
  }

  /** What nobody waits for: the page is told, and the call is over, as it can't be had. */
  #fail(error: unknown): void {
    if (this.state === 'ended') return;
    const failure = asError(error);
    this.emit('error', failure);
    this.hangUp(failure.code).catch(() => undefined); // it has failed already
  }

  async #tellTheEnd(reason: string | undefined): Promise<void> {
    this.#line.close();
    try {
      await this.#sayEnd(reason);
      if (this.state !== 'ended') await sleep(SUMMARY_WITHIN_MS, this.#over.signal).catch(() => undefined); // by `call_end`
      if (this.state !== 'ended') await this.#ask();
    } catch (error) {
      this.#end(unknownEnd('manual'));
      throw asError(error, 'NETWORK');
    }
    this.#end(unknownEnd('manual'));
  }

  /** The other party may answer or end it at the same moment: then another word is the right one. */
  async #sayEnd(reason: string | undefined): Promise<void> {
    for (let tries = 0; this.state !== 'ended'; tries += 1) {
      const unanswered = this.direction === 'incoming' ? 'reject' : 'cancel';
      const path = `calls/${this.callId}/${this.state === 'ringing' ? unanswered : 'end'}`;
      const options = { body: reason ? { reason } : {}, keepalive: true };
      try {
        await this.context.api.patiently<CallAck>('POST', path, options, COMMAND_FOR_MS);
        return;
      } catch (error) {
        if (hasCode(error, 'CALL_NOT_FOUND')) return; // it was never placed
        if (!hasCode(error, 'INVALID_CALL_STATE') || tries === 2) throw error;
        this.#isAccepting = true; // whoever hangs up is in it
        await this.#ask();
      }
    }
  }

  #ask(options: RequestOptions = {}): Promise<CallRecord> {
    return this.#heed(this.context.api.patiently('GET', `calls/${this.callId}`, options, COMMAND_FOR_MS));
  }

  #end(summary: CallSummary): void {
    if (this.state === 'ended') return;
    const was = this.state;
    this.#course.state = 'ended';
    this.summary = summary;
    this.#line.close();
    this.#over.abort(new VoiceplaneError('CALL_ENDED'));
    this.context.over(this);
    this.emit('state', { state: 'ended', was });
    this.emit('ended', summary);
  }
}

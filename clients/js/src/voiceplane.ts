// The way in: one person at one server. Connects, rings, is rung, and finds the call again after a reload.
import type { Device } from 'mediasoup-client';
import { Api } from './api';
import { Bookmark } from './bookmark';
import { Call } from './call';
import type { CallContext, CallOptions, JoinOptions, NewCall } from './call';
import { loadedDevice } from './device';
import { Emitter } from './emitter';
import { VoiceplaneError, asError, hasCode } from './errors';
import { watchNetwork } from './network';
import type { NetworkChange } from './network';
import { preflight } from './preflight';
import type { PreflightReport } from './preflight';
import { Socket } from './socket';
import type { ServerEvent } from './socket';
import { stateOf } from './states';
import { Tokens } from './token';
import type { Token } from './token';
import type { CallList, CallRecord, EventPayloads, OtomoStatus } from './wire';

const PACE_MS = 15_000; // of pings while there is no call
const PACE_IN_A_CALL_MS = 2000;
const RECENT_CALLS = 5; // among which one that lives is found

export interface VoiceplaneOptions {
  /** Where the server is, as in `https://voice.example.com`. */
  url: string | URL;
  /** A JWT, or a function that gets one, which is asked again whenever one is needed. */
  token: Token;
  /** Whether calls play what they hear; true where it is not said. */
  play?: boolean;
  /** Whether the tab remembers what it has heard last (in `sessionStorage`), so that a reload misses no event. */
  persist?: boolean;
}

export type ConnectionState = 'disconnected' | 'connecting' | 'connected' | 'reconnecting';

export interface VoiceplaneEvents {
  /** Somebody calls. */
  incoming: Call;
  /** `error` is why, where it was not asked for. */
  state: { state: ConnectionState; was: ConnectionState; error?: VoiceplaneError };
  /** An otomo has another status; `vp.otomos` has it too. */
  otomos: { otomoId: string; status: OtomoStatus };
  wallet: EventPayloads['wallet_update'];
  /** Every event of the server as it came, those included that this library does not know. */
  event: ServerEvent;
}

export class Voiceplane extends Emitter<VoiceplaneEvents> {
  #state: ConnectionState = 'disconnected';
  #connecting: Promise<void> | null = null;
  #device: Promise<Device> | null = null;
  #stopWatching: (() => void) | null = null;
  #unheard = 0; // events of calls that are not known here
  readonly #calls = new Map<string, Call>();
  readonly #otomos = new Map<string, OtomoStatus>();
  readonly #tokens: Tokens;
  readonly #api: Api;
  readonly #socket: Socket;
  readonly #context: CallContext;

  constructor({ url, token, play = true, persist = false }: VoiceplaneOptions) {
    super();
    this.#tokens = new Tokens(token);
    const api = (this.#api = new Api(url, this.#tokens));
    const tokens = this.#tokens;
    this.#socket = new Socket(
      api,
      {
        event: (event) => this.#take(event),
        up: () => this.#up(),
        down: () => this.#become('reconnecting'),
        over: (error) => this.#over(error),
      },
      PACE_MS,
      persist ? new Bookmark(api) : null,
    );
    this.#context = {
      api,
      plays: play,
      get me() {
        return tokens.identity;
      },
      device: () => this.#loadedDevice(),
      activityChanged: () => this.#pace(),
      soundLost: (call) => {
        this.#socket.check();
        call.soundLost();
      },
      over: (call) => {
        this.#calls.delete(call.callId);
        this.#pace();
      },
    };
  }

  /** Looks whether a call from this browser to that server would work, without one. */
  static preflight(options: VoiceplaneOptions): Promise<PreflightReport> {
    return preflight(new Api(options.url, new Tokens(options.token)));
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Calls of this window that are not over. */
  get calls(): readonly Call[] {
    return [...this.#calls.values()];
  }

  /** Who is there, as far as the server has told. */
  get otomos(): ReadonlyMap<string, OtomoStatus> {
    return this.#otomos;
  }

  /** Opens the one WebSocket, which then comes back by itself. Rejects where the first attempt fails. */
  connect(): Promise<void> {
    if (this.#state === 'connected' || this.#state === 'reconnecting') return Promise.resolve();
    return (this.#connecting ??= this.#connect().finally(() => (this.#connecting = null)));
  }

  /** Hangs up, closes the WebSocket, and leaves nothing behind. */
  async disconnect(): Promise<void> {
    const hangUps = this.calls.map((call) => call.hangUp());
    const results = await Promise.allSettled(hangUps);
    this.#close();
    const refused = results.find((one) => one.status === 'rejected');
    if (refused) throw asError(refused.reason, 'NETWORK');
  }

  /** Rings an otomo, with the microphone in hand: a person who refuses it rings nobody. */
  async call(otomoId: string, options: CallOptions = {}): Promise<Call> {
    await this.connect();
    const { id } = this.#tokens.identity;
    const call = this.#add({
      callId: newCallId(),
      userId: id,
      otomoId,
      state: 'ringing',
      metadata: options.metadata ?? {},
    });
    try {
      await call.place(options);
    } catch (error) {
      this.#calls.delete(call.callId);
      throw error;
    }
    return call;
  }

  /** Takes part in a call that there is: one that the back end has matched, or one that rings or goes on. */
  async join(callId: string, options: JoinOptions = {}): Promise<Call> {
    await this.connect();
    const unheard = this.#unheard;
    const call =
      this.#calls.get(callId) ?? this.#found(await this.#api.request<CallRecord>('GET', `calls/${callId}`), unheard);
    if (!call) throw new VoiceplaneError('CALL_ENDED');
    await call.join(options);
    return call;
  }

  /** The call that the server still has, as after a reload; `join()` or `accept()` takes part in it. */
  async current(): Promise<Call | null> {
    await this.connect();
    return (await this.#live())[0] ?? null;
  }

  /** An otomo says whether it may be called. */
  async setStatus(status: 'available' | 'away'): Promise<void> {
    try {
      await this.#api.request('PUT', 'me/status', { body: { status } });
    } catch (error) {
      if (!hasCode(error, 'NOT_FOUND' as never)) throw error;
      throw new VoiceplaneError('NOT_SUPPORTED', 'this server knows no status yet', {
        status: error.status,
        cause: error,
      });
    }
  }

  async #connect(): Promise<void> {
    this.#become('connecting');
    try {
      await this.#socket.open();
    } catch (error) {
      const failure = asError(error, 'NETWORK');
      this.#become('disconnected', failure);
      throw failure;
    }
  }

  #up(): void {
    this.#stopWatching ??= watchNetwork((change) => this.#networkChanged(change));
    this.#become('connected');
    for (const call of this.calls) void call.resync();
    if (this.#tokens.identity.role === 'otomo') void this.#live().catch(() => undefined); // the socket may be lost again
  }

  #networkChanged(change: NetworkChange): void {
    this.#socket.check();
    if (change !== 'visible') for (const call of this.calls) call.networkChanged();
  }

  #over(error: VoiceplaneError): void {
    this.#stopWatching?.();
    this.#stopWatching = null;
    this.#become('disconnected', error);
    if (error.code === 'BANNED') for (const call of this.calls) call.hangUp().catch(() => undefined); // it has ended there
  }

  #close(): void {
    this.#socket.close();
    this.#stopWatching?.();
    this.#stopWatching = null;
    this.#become('disconnected');
  }

  #become(state: ConnectionState, error?: VoiceplaneError): void {
    const was = this.#state;
    if (state === was) return;
    this.#state = state;
    this.emit('state', { state, was, ...(error && { error }) });
  }

  #pace(): void {
    const inACall = this.calls.some((call) => call.hasMedia);
    this.#socket.setPace(inACall ? PACE_IN_A_CALL_MS : PACE_MS, inACall);
  }

  /** Those that live, newest first. One that rings here and was not known is told as any that comes in. */
  async #live(): Promise<Call[]> {
    const unheard = this.#unheard;
    const { calls } = await this.#api.request<CallList>('GET', `calls?limit=${RECENT_CALLS}`);
    return calls.flatMap((record) => {
      const known = this.#calls.get(record.callId);
      const call = known ?? this.#found(record, unheard);
      if (!call) return [];
      if (!known && call.direction === 'incoming' && call.state === 'ringing') this.emit('incoming', call);
      return [call];
    });
  }

  /** `unheard` is as it was before the server was asked: what was told meanwhile may have been of this call. */
  #found(record: CallRecord, unheard: number): Call | null {
    if (stateOf(record.state) === 'ended') return null;
    const call = this.#add(record);
    if (unheard !== this.#unheard) void call.resync();
    return call;
  }

  #add(record: NewCall): Call {
    const call = new Call(this.#context, record);
    this.#calls.set(call.callId, call);
    return call;
  }

  #take(event: ServerEvent): void {
    const { type, payload } = event as { type: keyof EventPayloads; payload: EventPayloads[keyof EventPayloads] };
    this.emit('event', event);
    if ('callId' in payload) {
      if (type === 'incoming_call') this.#rung(payload as EventPayloads['incoming_call']);
      else if (this.#calls.has(payload.callId)) this.#calls.get(payload.callId)?.handle(type, payload);
      else this.#unheard += 1;
    } else if (type === 'wallet_update') this.emit('wallet', payload as EventPayloads['wallet_update']);
    else if (type === 'otomo_status') this.#setOtomo(payload as EventPayloads['otomo_status']);
    else if (type === 'otomo_list') this.#setOtomos(payload as EventPayloads['otomo_list']);
  }

  #rung({ callId, userId, pricePerMinute, createdAt }: EventPayloads['incoming_call']): void {
    if (this.#calls.has(callId)) return;
    const otomoId = this.#tokens.identity.id;
    this.emit('incoming', this.#add({ callId, userId, otomoId, state: 'ringing', pricePerMinute, createdAt }));
  }

  /** All that are there: who is not in the list is not. */
  #setOtomos({ otomos }: EventPayloads['otomo_list']): void {
    const there = new Set(otomos.map(({ otomoId }) => otomoId));
    for (const otomoId of this.#otomos.keys()) if (!there.has(otomoId)) this.#setOtomo({ otomoId, status: 'offline' });
    for (const one of otomos) this.#setOtomo(one);
  }

  #setOtomo({ otomoId, status }: EventPayloads['otomo_status']): void {
    if ((this.#otomos.get(otomoId) ?? 'offline') === status) return;
    if (status === 'offline') this.#otomos.delete(otomoId);
    else this.#otomos.set(otomoId, status);
    this.emit('otomos', { otomoId, status });
  }

  /** One for all calls. */
  #loadedDevice(): Promise<Device> {
    return (this.#device ??= loadedDevice(this.#api).catch((error: unknown) => {
      this.#device = null;
      throw error;
    }));
  }
}

/** Of a user's own choice (docs/api.md: they begin with `u_`), so that asking twice rings once. */
function newCallId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `u_${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

// What a call hears: one stream that stays the same, played unless the page does that itself, and how loud it is.
import { LevelMeter } from './engine';
import type { Engine } from './engine';
import { Playback } from './playback';
import type { Ear } from './room';
import type { Role } from './token';

export interface SoundHooks {
  blocked: (isBlocked: boolean) => void;
  /** The other party is muted, or not any more. */
  muted: (isMuted: boolean) => void;
}

export class Sound {
  readonly stream = new MediaStream();
  #isMuted = false;
  readonly #meters = new Map<Ear, LevelMeter>();
  readonly #playback: Playback | null;

  constructor(
    private readonly engine: Engine,
    plays: boolean,
    private readonly hooks: SoundHooks,
  ) {
    this.#playback = plays ? new Playback(hooks.blocked) : null;
  }

  get isMuted(): boolean {
    return this.#isMuted;
  }

  get isBlocked(): boolean {
    return this.#playback?.isBlocked ?? false;
  }

  get level(): number {
    const heard = [...this.#meters].filter(([ear]) => ear.isParty && !ear.isPaused);
    return Math.max(0, ...heard.map(([, meter]) => meter.level));
  }

  /** How loud that party is right now, 0 to 1; null while it is not heard. */
  levelOf(role: Role): number | null {
    const heard = [...this.#meters].filter(([ear]) => ear.role === role);
    return heard.length ? Math.max(...heard.map(([, meter]) => meter.level)) : null;
  }

  /** Whether the other party sends, and is not muted. */
  get expectsSound(): boolean {
    return [...this.#meters.keys()].some((ear) => ear.isParty && !ear.isPaused);
  }

  add(ear: Ear): void {
    const { track, rtpReceiver } = ear.consumer;
    this.#meters.set(ear, new LevelMeter(this.engine, track, rtpReceiver ?? null));
    this.stream.addTrack(track);
    this.#playback?.add(track);
    this.pausedChanged();
  }

  remove(ear: Ear): void {
    this.#meters.get(ear)?.close();
    this.#meters.delete(ear);
    this.stream.removeTrack(ear.consumer.track);
    this.#playback?.remove(ear.consumer.track);
    this.pausedChanged();
  }

  pausedChanged(): void {
    const parties = [...this.#meters.keys()].filter((ear) => ear.isParty);
    const isMuted = parties.every((ear) => ear.isPaused);
    if (!parties.length || isMuted === this.#isMuted) return; // nobody there says nothing: a room changes
    this.#isMuted = isMuted;
    this.hooks.muted(isMuted);
  }

  start(): Promise<boolean> {
    return this.#playback?.start() ?? Promise.resolve(true);
  }

  close(): void {
    for (const ear of [...this.#meters.keys()]) this.remove(ear);
    this.#playback?.close();
  }
}

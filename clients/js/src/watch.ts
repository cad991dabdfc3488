// Looks once a second at how a call sounds and whether its microphone gives anything. Tells what is another way than before.
import { QualityWord, mosOf, wordFor } from './quality';
import type { Quality } from './quality';
import { statsOf } from './stats';
import type { CallStats } from './stats';
import type { Room } from './room';

const EVERY_MS = 1000;
const LOST_AFTER_MS = 3000; // in which even a silent party sends a few packets (RFC 6716 §2.1.9, DTX)
const SILENT_AFTER_MS = 5000;

export interface QualityReport {
  quality: Quality;
  /** The mean opinion score of ITU-T G.107, 1 to 4.4; null where nothing comes. */
  mos: number | null;
  lossPercent: number | null;
  jitterMs: number | null;
  roundTripMs: number | null;
}

export interface WatchSubject {
  room: () => Room | null;
  /** Whether nothing is to be heard, because nobody sends or whoever does is muted. */
  expectsNothing: () => boolean;
  /** Whether the microphone is to give nothing. */
  isMuted: () => boolean;
  /** By the audio engine, where the browser does not count it. */
  hasSound: () => boolean | null;
}

export interface WatchHooks {
  quality: (report: QualityReport) => void;
  microphone: (isSilent: boolean) => void;
}

const NOTHING: QualityReport = { quality: 'unknown', mos: null, lossPercent: null, jitterMs: null, roundTripMs: null };

export class Watch {
  report: QualityReport = NOTHING;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  #room: Room | null = null;
  #before: CallStats | null = null;
  #cameAt = performance.now();
  #soundAt = performance.now();
  #isSilent = false;
  readonly #word = new QualityWord();

  constructor(
    private readonly subject: WatchSubject,
    private readonly hooks: WatchHooks,
  ) {
    this.#next();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #next(): void {
    this.#timer = setTimeout(() => {
      this.#look()
        .catch(() => undefined) // the room was closed while the browser counted
        .finally(() => {
          if (!this.#stopped) this.#next();
        });
    }, EVERY_MS);
  }

  async #look(): Promise<void> {
    const room = this.subject.room();
    if (!room) return;
    const now = await statsOf(room);
    if (this.#stopped) return;
    const before = room === this.#room ? this.#before : null; // another room counts from 0
    [this.#room, this.#before] = [room, now];
    this.#listen(before, now);
    this.#rate(room, before, now);
  }

  #rate(room: Room, before: CallStats | null, now: CallStats): void {
    const report = heardBetween(before, now);
    if (report || this.subject.expectsNothing()) this.#cameAt = performance.now();
    if (room.isLost || performance.now() - this.#cameAt > LOST_AFTER_MS) {
      this.#tell({ ...NOTHING, quality: 'lost', roundTripMs: now.roundTripMs });
    } else if (report) {
      this.#tell(report);
    }
  }

  #tell(report: QualityReport): void {
    const isNews = this.#word.take(report.quality);
    this.report = { ...report, quality: this.#word.word };
    if (isNews) this.hooks.quality(this.report);
  }

  #listen(before: CallStats | null, now: CallStats): void {
    const energy = [before?.microphoneEnergy, now.microphoneEnergy];
    const counted = typeof energy[0] === 'number' && typeof energy[1] === 'number' ? energy[1] !== energy[0] : null;
    const hasSound = counted ?? this.subject.hasSound();
    if (hasSound !== false || this.subject.isMuted()) this.#soundAt = performance.now();
    const isSilent = performance.now() - this.#soundAt > SILENT_AFTER_MS;
    if (isSilent === this.#isSilent) return;
    this.#isSilent = isSilent;
    this.hooks.microphone(isSilent);
  }
}

/** How it sounded between two looks, the first of which may be the beginning; null where nothing came. */
export function heardBetween(before: CallStats | null, now: CallStats): QualityReport | null {
  const arrived = now.received.packets - (before?.received.packets ?? 0);
  if (arrived <= 0) return null;
  const lost = Math.max(0, now.received.lost - (before?.received.lost ?? 0));
  const { jitterMs, roundTripMs } = now;
  const loss = lost / (lost + arrived);
  const mos = mosOf({ loss, jitterMs: jitterMs ?? 0, roundTripMs: roundTripMs ?? 0 });
  return { quality: wordFor(mos), mos: rounded(mos), lossPercent: rounded(100 * loss), jitterMs, roundTripMs };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

// How a call sounds, in a word, from what its network does: the E-model of ITU-T G.107 as the server reckons it, so that
// both say the same. Counts nothing itself.

export type Quality = 'excellent' | 'good' | 'fair' | 'poor' | 'lost' | 'unknown';

const R_OF_DEFAULTS = 93.2; // G.107 §7.7
const NOTICED_MS = 100; // a delay that nobody notices
const PACKET_MS = 20; // RFC 7587 §4.2
const LOOKAHEAD_MS = 6.5; // libopus
const BUFFERED_JITTERS = 2; // how deep a jitter buffer is
const OPUS_WITH_FEC_BPL = 20; // how well Opus bears lost packets

const WORDS: readonly [number, Quality][] = [
  [4.2, 'excellent'],
  [4, 'good'], // G.107 Annex B: satisfied
  [3.1, 'fair'], // nearly all are dissatisfied below
  [0, 'poor'],
];

export interface Network {
  /** The part of the packets that did not arrive, 0 to 1. */
  loss: number;
  jitterMs: number;
  roundTripMs: number;
}

/** The mean opinion score, 1 to 4.4. */
export function mosOf({ loss, jitterMs, roundTripMs }: Network): number {
  const delay = PACKET_MS + LOOKAHEAD_MS + roundTripMs / 2 + BUFFERED_JITTERS * jitterMs;
  const percent = 100 * loss;
  const r = Math.max(0, R_OF_DEFAULTS - delayImpairment(delay) - (95 * percent) / (percent + OPUS_WITH_FEC_BPL));
  return Math.max(1, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);
}

/** Idd (G.107 §7.4). */
function delayImpairment(ms: number): number {
  if (ms <= NOTICED_MS) return 0;
  const x = Math.log2(ms / NOTICED_MS);
  const part = (y: number) => (1 + y ** 6) ** (1 / 6);
  return 25 * (part(x) - 3 * part(x / 3) + 2);
}

export function wordFor(mos: number): Quality {
  return WORDS.find(([least]) => mos >= least)?.[1] ?? 'poor';
}

/** The word that is told: a better or a worse one has to come twice, so that it does not flicker; `lost` at once. */
export class QualityWord {
  #word: Quality = 'unknown';
  #candidate: Quality = 'unknown';

  get word(): Quality {
    return this.#word;
  }

  /** Returns whether the word is another one now. */
  take(next: Quality): boolean {
    const isSure = next === this.#candidate || next === 'lost' || this.#word === 'lost' || this.#word === 'unknown';
    this.#candidate = next;
    if (!isSure || next === this.#word) return false;
    this.#word = next;
    return true;
  }
}

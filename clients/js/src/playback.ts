// Plays what comes. Where the browser plays nothing before a person has touched the page (its autoplay policy), it says so
// and starts at the next touch.

const TOUCHES = ['pointerdown', 'keydown', 'touchend'] as const;

export class Playback {
  readonly #elements = new Map<MediaStreamTrack, HTMLAudioElement>();
  #waiting: AbortController | null = null;

  constructor(private readonly told: (isBlocked: boolean) => void) {}

  get isBlocked(): boolean {
    return this.#waiting !== null;
  }

  add(track: MediaStreamTrack): void {
    const element = new Audio();
    element.srcObject = new MediaStream([track]);
    this.#elements.set(track, element);
    void this.start();
  }

  remove(track: MediaStreamTrack): void {
    const element = this.#elements.get(track);
    if (!element) return;
    this.#elements.delete(track);
    element.pause();
    element.srcObject = null;
  }

  /** Plays what should play. Returns whether it does. */
  async start(): Promise<boolean> {
    const paused = [...this.#elements.values()].filter((element) => element.paused);
    const results = await Promise.allSettled(paused.map((element) => element.play()));
    const refused = results.some(
      (one) => one.status === 'rejected' && (one.reason as Error).name === 'NotAllowedError',
    );
    this.#block(refused);
    return !refused;
  }

  close(): void {
    for (const track of [...this.#elements.keys()]) this.remove(track);
    this.#waiting?.abort();
    this.#waiting = null;
  }

  #block(isBlocked: boolean): void {
    if (isBlocked === this.isBlocked || (isBlocked && !this.#elements.size)) return;
    this.#waiting?.abort();
    this.#waiting = null;
    if (isBlocked) {
      const { signal } = (this.#waiting = new AbortController());
      for (const touch of TOUCHES) document.addEventListener(touch, () => void this.start(), { capture: true, signal });
    }
    this.told(isBlocked);
  }
}

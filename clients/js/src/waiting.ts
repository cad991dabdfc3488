// Waiting: for a time, for longer and longer times, and one after the other. Knows no network and no call.

/** Until `ms` have passed, or `wake` is called. Throws the signal's reason where that comes first. */
export function sleep(ms: number, signal: AbortSignal, onWake?: (wake: () => void) => void): Promise<void> {
  return new Promise((done, failed) => {
    if (signal.aborted) return failed(reasonOf(signal));
    const finish = (then: () => void) => () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      then();
    };
    const aborted = finish(() => failed(reasonOf(signal)));
    const woken = finish(done);
    const timer = setTimeout(woken, ms);
    signal.addEventListener('abort', aborted);
    onWake?.(woken);
  });
}

/** What it settles with, or the signal's reason where that comes first. */
export function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((done, failed) => {
    if (signal.aborted) return failed(reasonOf(signal));
    const aborted = () => failed(reasonOf(signal));
    signal.addEventListener('abort', aborted, { once: true });
    promise.then(done, failed).finally(() => signal.removeEventListener('abort', aborted));
  });
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason as Error;
}

/** How long to wait before the next try: twice as long each time, up to a limit, and never the same for all clients. */
export class Backoff {
  #next: number;

  constructor(
    private readonly firstMs: number,
    private readonly limitMs: number,
    private readonly random: () => number = Math.random,
  ) {
    this.#next = firstMs;
  }

  /** In ms: from three quarters to five quarters of what is due. */
  next(): number {
    const ms = this.#next * (0.75 + this.random() / 2);
    this.#next = Math.min(this.#next * 2, this.limitMs);
    return ms;
  }

  reset(): void {
    this.#next = this.firstMs;
  }
}

/** Runs a job one at a time. What is asked for while it runs is done by one more run, however often it was asked. */
export class OneAtATime {
  #running: Promise<void> | null = null;
  #following: Promise<void> | null = null;

  constructor(private readonly job: () => Promise<void>) {}

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** Settles as the first run does that began after this was called. */
  run(): Promise<void> {
    if (!this.#running && !this.#following) return this.#start();
    this.#following ??= (this.#running ?? Promise.resolve()).then(
      () => this.#follow(),
      () => this.#follow(),
    );
    return this.#following;
  }

  #follow(): Promise<void> {
    this.#following = null;
    return this.#start();
  }

  #start(): Promise<void> {
    const run = this.job().finally(() => {
      if (this.#running === run) this.#running = null;
    });
    return (this.#running = run);
  }
}

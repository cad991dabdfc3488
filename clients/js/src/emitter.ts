// Events with types. A listener that throws is reported as the browser reports any (the page's `error` event), and
// keeps nothing from the others.

type Listener<Payload> = (payload: Payload) => void;

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** Adding the same listener twice is adding it once. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): this {
    const all = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, all.add(listener));
    return this;
  }

  off<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): this {
    this.#listeners.get(name)?.delete(listener);
    return this;
  }

  /** The next event of that name. */
  once<Name extends keyof Events>(name: Name): Promise<Events[Name]> {
    return new Promise((done) => {
      const listener = (payload: Events[Name]) => {
        this.off(name, listener);
        done(payload);
      };
      this.on(name, listener);
    });
  }

  protected emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])] as Listener<Events[Name]>[]) {
      try {
        listener(payload);
      } catch (error) {
        reportError(error);
      }
    }
  }
}

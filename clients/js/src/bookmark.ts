// The number of the last event that this tab has heard, over a reload of its page: what was missed meanwhile is told.
import type { Api } from './api';

export class Bookmark {
  constructor(private readonly api: Api) {}

  /** Null where there is none, or where the browser keeps nothing for the page. */
  get seq(): number | null {
    try {
      const kept = sessionStorage.getItem(this.#name);
      return kept === null ? null : Number(kept);
    } catch {
      return null; // WHATWG HTML §12.2.2: storage may be denied
    }
  }

  keep(seq: number): void {
    try {
      sessionStorage.setItem(this.#name, String(seq));
    } catch {
      // denied or full: as without
    }
  }

  /** Numbers are one person's, at one server. */
  get #name(): string {
    const { role, id } = this.api.tokens.identity;
    return `voiceplane ${this.api.base} ${role} ${id}`;
  }
}

// A call's state by what events tell of it and what the server says when it is asked, which may cross on the way.
import { after, merged } from './states';
import type { CallState, Step } from './states';

export class Course {
  #events = 0;

  constructor(public state: CallState) {}

  /** The state after a step that an event tells. */
  told(step: Step): CallState {
    this.#events += 1;
    return after(this.state, step);
  }

  /** To be called before the server is asked. What it returns makes a state of the answer's. */
  ask(): (stored: string) => CallState {
    const events = this.#events;
    return (stored) => merged(this.state, stored, events === this.#events ? 'since' : 'before');
  }
}

// What a call's state may become. Forward only, but for a call that is interrupted and resumed.

export type CallState = 'ringing' | 'connecting' | 'talking' | 'interrupted' | 'ended';
export type Step = 'accepted' | 'connected' | 'interrupted' | 'resumed' | 'ended';

const STEPS: Record<CallState, Partial<Record<Step, CallState>>> = {
  ringing: { accepted: 'connecting', connected: 'talking', ended: 'ended' },
  connecting: { connected: 'talking', interrupted: 'interrupted', ended: 'ended' },
  talking: { interrupted: 'interrupted', ended: 'ended' },
  interrupted: { connected: 'talking', resumed: 'talking', ended: 'ended' },
  ended: {},
};

/** The server's words, which are finer. */
const STORED: Record<string, CallState> = {
  requesting: 'ringing',
  ringing: 'ringing',
  matched: 'connecting',
  connecting: 'connecting',
  talking: 'talking',
  interrupted: 'interrupted',
  ending: 'ended',
  ended: 'ended',
};

/** The state after a step; the same where the step comes late. */
export function after(state: CallState, step: Step): CallState {
  return STEPS[state][step] ?? state;
}

/** What the server says that a call is, as one of ours. */
export function stateOf(stored: string): CallState {
  return STORED[stored] ?? 'talking';
}

const ORDER: readonly CallState[] = ['ringing', 'connecting', 'talking', 'ended'];

/**
 * The state of a call that was asked about: what the server says, unless that is older than what is known. Between talking
 * and interrupted there is no older: so there the answer counts where it was `asked` for `'since'` the last event.
 */
export function merged(state: CallState, stored: string, asked: 'since' | 'before'): CallState {
  const told = stateOf(stored);
  const rank = (one: CallState) => ORDER.indexOf(one === 'interrupted' ? 'talking' : one);
  const isNews = asked === 'since' ? rank(told) >= rank(state) : rank(told) > rank(state);
  return isNews ? told : state;
}

// The calls of a search, live ones and ended ones, newest first, as many pages of them as were asked for.
import { RANK } from './calls.js';
import { h, show, write } from './dom.js';
import { DASH, dateTime, duration, number, words } from './format.js';
import { sentence, session } from './session.js';
import { Table } from './tables.js';

export const pageOfCall = (callId) => `#/calls/${encodeURIComponent(callId)}`;
export const pageOfPerson = (role, userId) => `#/people/${role}/${encodeURIComponent(userId)}`;

const COLUMNS = [
  { name: 'Call', value: ({ callId }) => ({ text: callId, href: pageOfCall(callId) }) },
  {
    name: 'User and otomo',
    value: ({ userId, otomoId }) => [
      { text: userId, href: pageOfPerson('user', userId) },
      ' → ',
      { text: otomoId, href: pageOfPerson('otomo', otomoId) },
    ],
  },
  { name: 'State', value: ({ state }) => ({ text: state, rank: RANK[state] }) },
  { name: 'Opened', value: ({ createdAt }) => dateTime(createdAt) },
  { name: 'Talked', number: true, value: ({ connectedAt, talkSeconds }) => (connectedAt ? duration(talkSeconds) : DASH) },
  { name: 'Points', number: true, value: pointsOf },
  { name: 'End', value: ({ endReason }) => (endReason ? words(endReason) : DASH) },
];

function pointsOf({ billedPoints, refundedPoints }) {
  return refundedPoints ? `${number(billedPoints)}, ${number(refundedPoints)} given back` : number(billedPoints);
}

export class CallList {
  constructor(labelledBy) {
    this.table = new Table({ labelledBy, columns: COLUMNS, keyOf: ({ callId }) => callId, empty: 'No such calls.' });
    this.count = h('p', { class: 'muted small count', role: 'status' });
    this.problem = h('p', { class: 'problem', role: 'alert' });
    this.button = h('button', { class: 'button small', type: 'button', click: () => this.more() }, 'Show more');
    this.further = h('p', { class: 'empty', hidden: true }, this.button);
    this.table.element.append(this.further);
    this.element = h('div', { hidden: true }, this.count, this.problem, this.table.element);
    this.calls = [];
  }

  // Shows the first calls that `query` finds.
  search(query) {
    Object.assign(this, { query, calls: [], cursor: null });
    write(this.count, 'Searching …');
    show(this.further, false);
    show(this.table.element, false);
    show(this.element, true);
    return this.ask();
  }

  // The focus goes on to the first call that is new.
  async more() {
    const next = this.calls.length;
    await this.ask();
    (this.table.rows.children[next]?.querySelector('a') ?? this.button).focus();
  }

  async ask() {
    const asked = new URLSearchParams(this.query);
    if (this.cursor) asked.set('cursor', this.cursor);
    this.asking = asked;
    write(this.problem, '');
    this.button.disabled = true;
    try {
      const { calls, nextCursor } = await session.ask('GET', `calls?${asked}`);
      if (this.asking === asked) this.add(calls, nextCursor); // else it is another search by now
    } catch (error) {
      if (this.asking !== asked) return;
      write(this.problem, sentence(error));
      if (!this.calls.length) write(this.count, '');
    } finally {
      this.button.disabled = false;
    }
  }

  add(calls, nextCursor) {
    this.calls = [...this.calls, ...calls];
    this.cursor = nextCursor;
    this.table.update(this.calls);
    show(this.table.element, true);
    show(this.further, nextCursor);
    const found = this.calls.length === 1 ? '1 call' : `${number(this.calls.length)} calls`;
    write(this.count, nextCursor ? `The newest ${found}; there are more.` : this.calls.length ? `${found}.` : '');
  }

  clear() {
    this.asking = null;
    show(this.element, false);
    this.table.update([]);
  }
}

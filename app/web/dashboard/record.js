// What is stored of a call besides its course: its tariff, what it cost and what was given back, what was said of it.
import { h, set, show, write, keyed } from './dom.js';
import { DASH, dateTime, duration, number } from './format.js';
import { session } from './session.js';
import { Facts, Table } from './tables.js';

const MOST_UNITS = 200; // shown; a call may have a million
const CHARGED = { elapsed: 'when a unit is over', started: 'when a unit begins' };

const TARIFF = [
  ['Unit', ({ tariff }) => `${number(tariff.unitPoints)} points for ${tariff.unitSeconds} s`],
  ['Charged', ({ tariff }) => CHARGED[tariff.charge]],
  ['Free', ({ tariff }) => (tariff.freeSeconds ? `the first ${duration(tariff.freeSeconds)}` : DASH)],
  ['At least', ({ tariff }) => (tariff.minimumUnits > 1 ? `${number(tariff.minimumUnits)} units` : DASH)],
  ['Longest', ({ maxSeconds }) => duration(maxSeconds)],
  ['Of it added by admins', ({ tariff, maxSeconds }) => (tariff.maxSeconds < maxSeconds ? duration(maxSeconds - tariff.maxSeconds) : DASH)],
];
const UNITS = [
  { name: 'Unit', value: ({ index }) => number(index) },
  { name: 'Points', number: true, value: ({ points }) => number(points) },
  { name: 'Of them bonus', number: true, value: ({ bonusPoints }) => number(bonusPoints) },
  { name: 'Charged', value: ({ chargedAt }) => dateTime(chargedAt) },
];
const REFUNDS = [
  { name: 'Given back', value: ({ refundedAt }) => dateTime(refundedAt) },
  { name: 'Points', number: true, value: ({ points }) => number(points) },
  { name: 'Units', number: true, value: ({ units }) => number(units) },
  { name: 'Why', value: ({ reason }) => reason || DASH },
];

export class Record {
  constructor(callId) {
    this.callId = callId;
    this.tariff = new Facts(TARIFF, 'facts wide');
    this.units = table('Units', UNITS, ({ index }) => index);
    this.count = h('summary', {});
    this.older = h('p', { class: 'empty muted small', hidden: true });
    this.refunds = table('What was given back', REFUNDS, ({ row }) => row);
    this.metadata = h('dl', { class: 'facts wide' });
    this.feedback = h('ol', { class: 'timeline' });
    this.unitsPart = h('details', { class: 'card folded' }, this.count, this.units.element, this.older);
    this.parts = {
      units: part('Units', this.unitsPart),
      refunds: part('Given back', this.refunds.element),
      metadata: part('Metadata', h('div', { class: 'card' }, this.metadata)),
      feedback: part('What they thought of it', h('div', { class: 'card' }, this.feedback)),
    };
    this.element = h('div', { class: 'record' }, part('Tariff', h('div', { class: 'card' }, this.tariff.element)), ...Object.values(this.parts));
  }

  // Reads the units only where there are others than it shows.
  async update(call) {
    this.tariff.update(call);
    const texts = Object.entries(call.metadata);
    show(this.parts.metadata, texts.length);
    keyed(this.metadata, texts, ([key]) => key, textRow);
    show(this.parts.feedback, call.feedback.length);
    keyed(this.feedback, call.feedback, ({ role }) => role, feedbackRow);
    show(this.parts.units, call.billedUnits);
    show(this.parts.refunds, call.refundedPoints);
    const state = `${call.billedUnits} ${call.refundedPoints}`;
    if (state === this.shown || state === '0 0') return;
    this.bill(await session.ask('GET', `../calls/${encodeURIComponent(this.callId)}/billing`));
    this.shown = state;
  }

  bill({ units, totalPoints, refunds }) {
    const older = units.length - MOST_UNITS;
    write(this.count, `${number(units.length)} ${units.length === 1 ? 'unit' : 'units'}, ${number(totalPoints)} points`);
    this.units.update(units.slice(-MOST_UNITS).reverse());
    show(this.older, older > 0);
    write(this.older, `And ${number(older)} before these.`);
    this.refunds.update(refunds.map((one, row) => ({ ...one, row })));
  }
}

function table(name, columns, keyOf) {
  const made = new Table({ columns, keyOf });
  set(made.table, 'aria-label', name);
  made.element.classList.add('plain');
  return made;
}

const part = (name, ...inside) => h('section', { 'aria-label': name }, h('h2', {}, name), ...inside);

function textRow([key]) {
  const value = h('dd', {});
  return { element: h('div', {}, h('dt', {}, key), value), update: ([, text]) => write(value, text || DASH) };
}

function feedbackRow() {
  const [time, score, more] = [h('time', { class: 'muted number' }), h('b', {}), h('span', { class: 'muted' })];
  return {
    element: h('li', {}, time, score, more),
    update({ role, userId, score: given, tags, comment, at }) {
      set(time, 'datetime', at);
      write(time, dateTime(at));
      write(score, `${given} of 5: ${role} ${userId}`);
      write(more, [tags.join(', '), comment].filter(Boolean).join(' · '));
    },
  };
}

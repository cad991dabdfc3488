// Money: what calls cost, what was given back and what all users hold, by day; and what they hold by kind and month.
import { Chart } from './chart.js';
import { say } from './dialogs.js';
import { $ } from './dom.js';
import { day, month, number, short } from './format.js';
import { session } from './session.js';
import { Table } from './tables.js';
import { tile } from './tiles.js';

const EVERY_MS = 30_000;
const DAY_MS = 86_400_000;
const DAYS = { said: (time) => `on ${day(time)}`, tick: (time) => day(time).slice(0, -5), latest: 'on the last day' };

const CHARTS = [
  {
    title: 'Charged and given back',
    lines: [
      { label: 'charged', field: 'chargedPoints' },
      { label: 'given back', field: 'refundedPoints' },
    ],
  },
  { title: 'Outstanding', lines: [{ label: 'held by all users', field: 'outstandingPoints' }] },
];

const TILES = [
  { name: 'Charged', value: ({ charged }) => number(charged), more: ({ span }) => span },
  { name: 'Given back', value: ({ refunded }) => number(refunded), more: ({ span }) => span },
  { name: 'Kept', value: ({ charged, refunded }) => number(charged - refunded), more: () => 'charged less given back' },
  {
    name: 'Outstanding',
    value: ({ outstanding }) => number(outstanding.paidPoints + outstanding.bonusPoints),
    more: ({ outstanding: { bonusPoints } }) => `now; ${number(bonusPoints)} of them bonus`,
  },
];

const points = (name, field) => ({ name, number: true, value: (one) => number(one[field]) });
const BY_DAY = [
  { name: 'Day (UTC)', value: (one) => day(one.day) },
  points('Charged', 'chargedPoints'),
  points('Given back', 'refundedPoints'),
  points('Given', 'addedPoints'),
  points('Taken away', 'removedPoints'),
  points('Expired', 'expiredPoints'),
  points('Outstanding', 'outstandingPoints'),
];
const BY_MONTH = [
  { name: 'Expires', value: (one) => (one.month ? month(one.month) : 'never') },
  points('Paid for', 'paid'),
  points('Bonus', 'bonus'),
  { name: 'Together', number: true, value: ({ paid, bonus }) => number(paid + bonus) },
];

export class MoneyView {
  constructor(poller) {
    Object.assign(this, { poller, element: $('money'), title: $('money-title'), place: '#/money', name: 'Money' });
    this.tiles = TILES.map(tile);
    const whole = { unit: (value) => number(value), axis: short, atLeast: 3, counted: true, times: DAYS };
    this.charts = CHARTS.map((one) => new Chart({ ...one, ...whole }));
    this.byDay = plain({ labelledBy: 'by-day-title', columns: BY_DAY, keyOf: (one) => one.day });
    this.byMonth = plain({ labelledBy: 'by-month-title', columns: BY_MONTH, keyOf: (one) => one.month ?? '' });
    $('money-tiles').append(...this.tiles.map(({ element }) => element));
    $('money-charts').append(...this.charts.map(({ element }) => element));
    $('by-day').append(this.byDay.element);
    $('by-month').append(this.byMonth.element);
    document.querySelectorAll('[name=days]').forEach((one) => one.addEventListener('change', () => this.choose()));
  }

  start() {
    this.stopAsking = this.poller.every(EVERY_MS, () => this.look());
  }

  stop() {
    this.stopAsking();
  }

  // Another question may be under way for the days of before; this one need not wait for its turn.
  async choose() {
    await this.look().catch(this.poller.told);
    if (this.shown) say(`${this.shown.span}: ${number(this.shown.charged)} points charged, ${number(this.shown.refunded)} given back.`);
  }

  async look() {
    const chosen = document.querySelector('[name=days]:checked').value;
    const [{ days }, outstanding] = await Promise.all([
      session.ask('GET', `points/daily?days=${chosen}`),
      session.ask('GET', 'points/outstanding'),
    ]);
    if (chosen !== document.querySelector('[name=days]:checked').value) return; // other days were chosen meanwhile
    this.draw(days, outstanding);
  }

  draw(days, outstanding) {
    const sum = (field) => days.reduce((total, one) => total + one[field], 0);
    const span = `${number(days.length)} days`;
    this.shown = { charged: sum('chargedPoints'), refunded: sum('refundedPoints'), outstanding, span };
    this.tiles.forEach((one) => one.update(this.shown));
    const samples = days.map((one) => ({ ...one, at: one.day }));
    this.charts.forEach((chart) => chart.update(samples, (days.length - 1) * DAY_MS));
    this.byDay.update([...days].reverse());
    this.byMonth.update(months(outstanding.lots));
  }
}

function plain(options) {
  const table = new Table(options);
  table.element.classList.add('plain');
  return table;
}

// Lots by kind and month as months, with both kinds.
function months(lots) {
  const found = new Map();
  for (const { kind, month: when, points: held } of lots)
    found.set(when, { month: when, paid: 0, bonus: 0, ...found.get(when), [kind]: held });
  return [...found.values()];
}

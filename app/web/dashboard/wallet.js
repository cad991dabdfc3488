// A user's wallet: what it holds, lot by lot, and points for it or from it.
import { ask, say } from './dialogs.js';
import { $, h, show, write } from './dom.js';
import { DASH, dateTime, number } from './format.js';
import { session } from './session.js';
import { Facts, Table } from './tables.js';
import { fromLocal } from './times.js';

const BALANCE = [
  ['Balance', ({ balance }) => number(balance)],
  ['Paid for', ({ paidPoints }) => number(paidPoints)],
  ['Bonus', ({ bonusPoints }) => number(bonusPoints)],
  ['Changed', ({ updatedAt }) => dateTime(updatedAt)],
];
const LOTS = [
  { name: 'Kind', value: ({ kind }) => kind },
  { name: 'Left', number: true, value: ({ remaining }) => number(remaining) },
  { name: 'Of', number: true, value: ({ points }) => number(points) },
  { name: 'Expires', value: ({ expiresAt }) => (expiresAt ? dateTime(expiresAt) : 'never') },
  { name: 'Came', value: ({ createdAt }) => dateTime(createdAt) },
];
const NONE = { balance: null, paidPoints: null, bonusPoints: null, updatedAt: null, lots: [] };

export class Wallet {
  // `changed()` is called after points came or went.
  constructor(userId, changed) {
    Object.assign(this, { userId, changed, tried: null });
    this.balance = new Facts(BALANCE, 'card facts wide');
    this.none = h('p', { class: 'muted', hidden: true }, 'No wallet yet: the first points make one.');
    this.lots = new Table({ labelledBy: 'lots-title', columns: LOTS, keyOf: ({ row }) => row, empty: 'It holds nothing.' });
    this.lots.element.classList.add('plain');
    this.form = $('adjust-form').content.firstElementChild.cloneNode(true);
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.adjust();
    });
    this.form.addEventListener('change', () => this.showExpiry());
    this.element = h(
      'section',
      { 'aria-labelledby': 'wallet-title' },
      h('div', { class: 'heading' }, h('h2', { id: 'wallet-title' }, 'Points')),
      this.none,
      this.balance.element,
      h('h3', { id: 'lots-title', class: 'part' }, 'Lots, in the order in which they are spent'),
      this.lots.element,
      h('h3', { id: 'adjust-part', class: 'part' }, 'Give or take points'),
      this.form,
    );
  }

  get path() {
    return `wallets/${encodeURIComponent(this.userId)}`;
  }

  async look() {
    const wallet = await session.ask('GET', this.path).catch((error) => {
      if (error.code !== 'WALLET_NOT_FOUND') throw error;
      return NONE;
    });
    show(this.none, wallet === NONE);
    this.balance.update(wallet);
    this.lots.update(wallet.lots.map((lot, row) => ({ ...lot, row })));
  }

  // What is taken away has no end.
  showExpiry() {
    const gives = this.form.elements.direction.value === 'give';
    show(this.form.querySelector('[data-part=expiry]'), gives);
    this.form.elements.expiresAt.disabled = !gives;
  }

  asked() {
    const { direction, amount, kind, expiresAt, reason } = this.form.elements;
    const gives = direction.value === 'give';
    return {
      amount: gives ? Number(amount.value) : -Number(amount.value),
      kind: kind.value,
      reason: reason.value.trim(),
      ...(gives && expiresAt.value && { expiresAt: fromLocal(expiresAt.value) }),
    };
  }

  async adjust() {
    const asked = this.asked();
    write($('adjust-title'), asked.amount > 0 ? 'Give these points?' : 'Take these points away?');
    write($('adjust-what'), said(asked, this.userId));
    const done = await ask('adjust-dialog', async () => {
      const { balance } = await session.ask('POST', `${this.path}/adjust`, { ...asked, idempotencyKey: this.keyOf(asked) });
      say(`${this.userId} holds ${number(balance)} points now.`);
    });
    if (!done) return;
    this.tried = null;
    this.form.reset();
    this.showExpiry();
    this.changed();
  }

  // The same one for the same points until they are booked: an answer that was lost is asked for again, and counts once.
  keyOf(asked) {
    const what = JSON.stringify(asked);
    if (this.tried?.what !== what) this.tried = { what, key: `dashboard-${randomText()}` };
    return this.tried.key;
  }
}

function said({ amount, kind, reason, expiresAt }, userId) {
  const points = `${number(Math.abs(amount))} ${kind} ${Math.abs(amount) === 1 ? 'point' : 'points'}`;
  const end = expiresAt ? `, which expire ${dateTime(expiresAt)}` : '';
  return `${points} ${amount > 0 ? 'for' : 'from'} ${userId}${end}. Reason: ${reason || DASH}`;
}

// Also where the page came without TLS, and the browser keeps `randomUUID` to itself.
function randomText() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

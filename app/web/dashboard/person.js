// One user or otomo: whether they are kept out, and, in parts of their own, their points and their calls.
import { CallList } from './call-list.js';
import { ask, say } from './dialogs.js';
import { $, h, set, show, write } from './dom.js';
import { DASH, dateTime } from './format.js';
import { sentence, session } from './session.js';
import { Facts } from './tables.js';
import { fromLocal, toLocal } from './times.js';
import { Wallet } from './wallet.js';

const EVERY_MS = 5000;

const STANDING = [
  ['Banned until', ({ banned, bannedUntil }) => (!banned ? DASH : bannedUntil ? dateTime(bannedUntil) : 'for ever')],
  ['Why', ({ banReason }) => banReason || DASH],
  ['Tokens revoked', ({ revokedAt }) => dateTime(revokedAt)],
];

export class PersonView {
  constructor(poller) {
    Object.assign(this, { poller, element: $('people'), title: $('people-title'), place: '#/people' });
    $('find-person').addEventListener('submit', (event) => {
      event.preventDefault();
      location.hash = `${this.place}/${$('person-role').value}/${encodeURIComponent($('person-id').value.trim())}`;
    });
  }

  // Made anew for each person: what belonged to another one must not stay for a moment.
  start(role, userId) {
    Object.assign(this, { role, userId, who: `${role} ${userId}`, decided: null });
    this.name = role ? `${role === 'user' ? 'User' : 'Otomo'} ${userId}` : 'People';
    write(this.title, this.name);
    show($('person'), role);
    if (!role) return;
    $('person-role').value = role;
    $('person-id').value = userId;
    this.build();
    this.calls.search(new URLSearchParams({ state: 'all', [role === 'user' ? 'userId' : 'otomoId']: userId }));
    this.stopAsking = this.poller.every(EVERY_MS, () => this.look());
  }

  stop() {
    this.stopAsking?.();
  }

  forget() {
    $('person').replaceChildren();
    $('find-person').reset();
  }

  get path() {
    return `users/${this.role}/${encodeURIComponent(this.userId)}`;
  }

  build() {
    const button = (name, kind, click) => h('button', { class: `button small ${kind}`, type: 'button', click }, name);
    this.state = h('span', { class: 'pill', hidden: true });
    this.ban = button('Ban …', 'danger', () => this.askBan());
    this.lift = button('Lift the ban', '', () => this.liftBan());
    this.revoke = button('Revoke tokens …', '', () => this.askRevoke());
    this.problem = h('p', { class: 'problem', role: 'alert' });
    this.standing = new Facts(STANDING, 'card facts wide');
    this.wallet = this.role === 'user' ? new Wallet(this.userId, () => this.poller.now()) : null;
    this.calls = new CallList('persons-calls');
    const field = this.role === 'user' ? 'userId' : 'otomoId';
    const search = `#/history?${new URLSearchParams({ state: 'all', [field]: this.userId })}`;
    show(this.lift, false);
    $('person').replaceChildren(
      h('div', { class: 'heading' }, h('h2', {}, 'Access'), this.state, h('span', { class: 'spread' }), this.lift, this.ban, this.revoke),
      this.problem,
      this.standing.element,
      ...(this.wallet ? [this.wallet.element] : []),
      h(
        'section',
        { 'aria-labelledby': 'persons-calls' },
        h(
          'div',
          { class: 'heading' },
          h('h2', { id: 'persons-calls' }, 'Calls'),
          h('span', { class: 'spread' }),
          h('a', { href: search }, 'Search these calls'),
        ),
        this.calls.element,
      ),
    );
  }

  async look() {
    const { wallet } = this;
    const [decided] = await Promise.all([session.ask('GET', this.path), wallet?.look()]);
    if (wallet === this.wallet) this.draw(decided); // else it is another person by now
  }

  draw(decided) {
    this.decided = decided;
    show(this.state, true);
    write(this.state, decided.banned ? 'banned' : 'let in');
    set(this.state, 'data-rank', decided.banned ? 'bad' : 'good');
    write(this.ban, decided.banned ? 'Change the ban …' : 'Ban …');
    show(this.lift, decided.banned);
    this.standing.update(decided);
  }

  async askBan() {
    write($('ban-title'), `Ban ${this.who}?`);
    $('ban-until').value = toLocal(this.decided?.bannedUntil);
    $('ban-reason').value = this.decided?.banReason ?? '';
    const done = await ask('ban-dialog', async () => {
      const until = $('ban-until').value;
      const body = { reason: $('ban-reason').value.trim(), ...(until && { until: fromLocal(until) }) };
      this.draw(await session.ask('PUT', `${this.path}/ban`, body));
    });
    if (done) say(`${this.name} is banned.`);
  }

  // It can be done again, so nobody is asked.
  async liftBan() {
    write(this.problem, '');
    this.lift.disabled = true;
    try {
      this.draw(await session.ask('DELETE', `${this.path}/ban`));
      say(`${this.name} is let in again.`);
      this.ban.focus();
    } catch (error) {
      write(this.problem, sentence(error));
    } finally {
      this.lift.disabled = false;
    }
  }

  async askRevoke() {
    write($('revoke-title'), `Revoke all tokens of ${this.who}?`);
    const done = await ask('revoke-dialog', async () => this.draw(await session.ask('POST', `${this.path}/revoke`)));
    if (done) say(`The tokens of ${this.who} are refused from now on.`);
  }
}

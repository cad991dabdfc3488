// Hearing a live call, whispering to one of its parties, speaking to both: on the call's page, by the browser's client.
import { ask, say } from './dialogs.js';
import { $, h, keyed, set, show, write } from './dom.js';
import { sentence, session } from './session.js';

const CLIENT = '../../client/voiceplane.js'; // where the server has it: this file is at admin/assets/
const LEVEL_EVERY_MS = 100;
const ROLES = ['user', 'otomo'];

const ENDS = {
  ended: 'You do not listen any more.',
  call_ended: 'The call is over, and you do not listen any more.',
  token_expired: 'Your token has expired, and you do not listen any more.',
  token_withdrawn: 'Your token was revoked, and you do not listen any more.',
  absent: 'There was no connection for a minute, and you do not listen any more.',
  elsewhere: 'You listen in another window now.',
};

// What may be wanted: a name for people, what is asked for, and what is said when it is so.
const WISHES = [
  { key: 'listen', name: () => 'Listen', wish: { mode: 'listen' }, now: () => 'You hear both. Nobody hears you.' },
  ...ROLES.map((role) => ({
    key: role,
    name: (call) => `Whisper to ${call[`${role}Id`]}`,
    wish: { mode: 'whisper', to: role },
    now: (call) => `You hear both. ${call[`${role}Id`]} alone hears you.`,
  })),
  { key: 'barge', name: () => 'Join', wish: { mode: 'barge' }, now: () => 'You hear both, and both hear you.' },
];

export class Supervise {
  constructor() {
    this.supervision = null;
    this.button = h('button', { id: 'listen', class: 'button', type: 'button', hidden: true, click: () => this.begin() }, 'Listen …');
    this.others = h('ul', { class: 'flag-list', 'aria-label': 'Who listens' });
    this.problem = h('p', { class: 'problem', role: 'alert' });
    this.state = h('p', { id: 'listening', role: 'status' });
    this.meters = Object.fromEntries([...ROLES, 'you'].map((who) => [who, meterOf()]));
    this.wishes = WISHES.map((one) => {
      const attributes = { class: 'button small', type: 'button', 'data-wish': one.key };
      const button = h('button', { ...attributes, click: () => this.change(one) });
      return { ...one, button };
    });
    this.play = h('button', { class: 'button', type: 'button', hidden: true, click: () => this.startAudio() }, 'Play the sound');
    this.stopButton = h('button', { id: 'stop-listening', class: 'button danger small', type: 'button', click: () => this.end() }, 'Stop listening');
    this.panel = h(
      'section',
      { class: 'card supervise', 'aria-label': 'Listening', hidden: true },
      this.state,
      h('div', { class: 'meters' }, Object.values(this.meters).map(({ element }) => element)),
      h('div', { class: 'buttons', role: 'group', 'aria-label': 'Who hears you' }, this.wishes.map(({ button }) => button)),
      h('div', { class: 'buttons' }, this.play, this.stopButton),
    );
    addEventListener('pagehide', () => this.leave());
  }

  // A page of its own for each call.
  show(callId) {
    Object.assign(this, { callId, call: null, isEnabled: null });
    show(this.button, false);
    keyed(this.others, [], String, otherRow);
    write(this.problem, '');
  }

  // Who else listens; where nobody may, that is asked once.
  async draw(call) {
    this.call = call;
    const isLive = !['ending', 'ended'].includes(call.state);
    if (isLive && this.isEnabled !== false) {
      const { enabled, supervisions } = await session.ask('GET', `calls/${encodeURIComponent(call.callId)}/supervise`);
      if (this.callId !== call.callId) return;
      this.isEnabled = enabled;
      keyed(this.others, supervisions, ({ supervisionId }) => supervisionId, otherRow);
    }
    if (!isLive) keyed(this.others, [], String, otherRow);
    show(this.button, isLive && this.isEnabled && !this.supervision);
  }

  async begin() {
    const { callId, call } = this;
    write($('supervise-who'), `${call.userId} and ${call.otomoId}, call ${callId}. That you listen, and why, is written down.`);
    $('supervise-reason').value = '';
    write(this.problem, '');
    await ask('supervise-dialog', async () => {
      const reason = $('supervise-reason').value.trim();
      const { Supervision } = await import(CLIENT);
      const url = new URL('..', location.href);
      const supervision = await Supervision.begin({ url, token: () => session.token, callId, reason });
      if (this.callId === callId) this.follow(supervision);
      else supervision.end().catch(() => undefined); // the page shows another call by now
    });
    if (this.supervision) this.wishes[0].button.focus();
  }

  follow(supervision) {
    this.supervision = supervision;
    supervision.on('changed', () => this.drawWish());
    supervision.on('connection', () => this.drawWish());
    supervision.on('playback', ({ blocked }) => show(this.play, blocked));
    supervision.on('ended', ({ reason, error }) => {
      if (this.supervision === supervision) this.over(ENDS[reason] ?? sentence(error ?? { code: reason }));
    });
    this.timer = setInterval(() => this.drawLevels(), LEVEL_EVERY_MS);
    for (const role of ROLES) write(this.meters[role].name, this.call[`${role}Id`]);
    write(this.meters.you.name, 'You');
    for (const { button, name } of this.wishes) write(button, name(this.call));
    show(this.play, supervision.isPlaybackBlocked);
    show(this.button, false);
    show(this.panel, true);
    this.drawWish();
  }

  async change({ wish }) {
    const { supervision } = this;
    write(this.problem, '');
    try {
      await supervision?.change(wish);
    } catch (error) {
      if (this.supervision === supervision) write(this.problem, sentence(error));
    }
  }

  async startAudio() {
    show(this.play, !(await this.supervision?.startAudio()));
  }

  async end() {
    const { supervision } = this;
    try {
      await supervision?.end();
    } catch (error) {
      write(this.problem, sentence(error));
    }
    this.button.focus();
  }

  // The page is left: nobody is heard any more.
  leave() {
    const { supervision } = this;
    this.over();
    supervision?.end().catch(() => undefined); // the server ends it in a minute
  }

  over(why = '') {
    if (!this.supervision) return;
    this.supervision = null;
    clearInterval(this.timer);
    const hadFocus = this.panel.contains(document.activeElement);
    show(this.panel, false);
    show(this.button, Boolean(this.call) && !['ending', 'ended'].includes(this.call.state));
    if (hadFocus && !this.button.hidden) this.button.focus();
    if (why) say(why);
    if (why) write(this.problem, why);
  }

  drawWish() {
    const { mode, to, isConnected } = this.supervision;
    for (const { button, wish, now } of this.wishes) {
      const isSo = wish.mode === mode && (wish.to ?? null) === to;
      set(button, 'aria-pressed', String(isSo));
      if (isSo) write(this.state, isConnected ? now(this.call) : 'Connecting …');
    }
    show(this.meters.you.element, mode !== 'listen');
  }

  drawLevels() {
    for (const role of ROLES) this.meters[role].bar.value = this.supervision.levelOf(role) ?? 0;
    this.meters.you.bar.value = this.supervision.level;
  }
}

function meterOf() {
  const [name, bar] = [h('span', { class: 'id' }), h('meter', { min: 0, max: 1, value: 0 })];
  return { element: h('label', { class: 'meter' }, name, bar), name, bar };
}

function otherRow({ adminId }) {
  const element = h('li', { class: 'notice' });
  const how = { listen: 'listens', whisper: 'whispers', barge: 'speaks to both' };
  return {
    element,
    update: ({ mode, to }) => write(element, `${adminId} ${how[mode]}${to ? ` to the ${to}` : ''}`),
  };
}

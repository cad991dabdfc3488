// A call's recording, on the call's page: begun, paused and ended while it lives; played and kept afterwards.
import { ask } from './dialogs.js';
import { $, h, keyed, show, write } from './dom.js';
import { bytes, duration } from './format.js';
import { Player } from './player.js';
import { Refused } from './request.js';
import { sentence, session } from './session.js';

const STATES = { recording: 'This call is recorded.', paused: 'The recording is paused.', stopped: 'This call was recorded.' };
const WAITS = { recording: 'is being recorded', finished: 'is being stored', failed: 'failed' };

export class Recording {
  constructor() {
    this.state = h('p', { id: 'recording-state' });
    this.problem = h('p', { class: 'problem', role: 'alert' });
    const button = (id, text, click, more = '') => h('button', { id, class: `button small${more}`, type: 'button', hidden: true, click }, text);
    this.record = button('record', 'Record …', () => this.begin());
    this.pause = button('record-pause', 'Pause', () => this.change('POST', '/pause'));
    this.resume = button('record-resume', 'Go on', () => this.change('POST', '/resume'));
    this.stop = button('record-stop', 'Stop recording', () => this.change('DELETE', ''), ' danger');
    this.open = button('record-open', 'Open the recording', () => this.load());
    this.files = h('ul', { class: 'flag-list' });
    this.player = new Player();
    this.element = h(
      'section',
      { 'aria-label': 'Recording', class: 'recording', hidden: true },
      h('h2', {}, 'Recording'),
      h('div', { class: 'card' }, this.state, this.files, h('div', { class: 'buttons' }, this.record, this.pause, this.resume, this.stop, this.open), this.problem, this.player.element),
    );
  }

  // A page of its own for each call.
  show(callId) {
    Object.assign(this, { callId, call: null, told: null, isSettled: false });
    this.player.close();
    show(this.element, false);
    write(this.problem, '');
  }

  leave() {
    this.player.close();
  }

  path(more = '') {
    return `calls/${encodeURIComponent(this.callId)}/recording${more}`;
  }

  async draw(call) {
    const { callId } = this;
    this.call = call;
    const isLive = !['ending', 'ended'].includes(call.state);
    if (isLive || !this.isSettled) this.told = await session.ask('GET', this.path());
    if (this.callId !== callId) return;
    const { enabled, state, recordings } = this.told;
    this.isSettled = !isLive && recordings.every((one) => ['stored', 'failed'].includes(one.state));
    const going = isLive && ['recording', 'paused'].includes(state);
    show(this.record, isLive && !going && enabled);
    show(this.pause, going && state === 'recording');
    show(this.resume, going && state === 'paused');
    show(this.stop, going);
    show(this.open, this.stored.length > 0 && !this.player.sounds.length);
    write(this.state, STATES[state] ?? 'This call is not recorded.');
    keyed(this.files, recordings, ({ recordingId }) => recordingId, (one) => fileRow(one, this));
    show(this.element, state !== null || (isLive && enabled));
  }

  get stored() {
    return (this.told?.recordings ?? []).filter(({ state }) => state === 'stored');
  }

  async begin() {
    write($('record-who'), `${this.call.userId} and ${this.call.otomoId} are told. That you record, and why, is written down.`);
    $('record-reason').value = '';
    await ask('record-dialog', async () => {
      await session.ask('POST', this.path(), { reason: $('record-reason').value.trim() });
      await this.draw(this.call);
    });
  }

  async change(method, more) {
    write(this.problem, '');
    try {
      await session.ask(method, this.path(more));
      await this.draw(this.call);
    } catch (error) {
      write(this.problem, sentence(error));
    }
  }

  async load() {
    const { callId } = this;
    write(this.problem, '');
    this.open.disabled = true;
    try {
      const files = await Promise.all(this.stored.map(async ({ recordingId, role, userId }) => ({ role, name: userId, blob: await sound(recordingId) })));
      if (this.callId !== callId) return;
      const drawn = this.player.load(files, Math.max(...this.stored.map(({ durationMs }) => durationMs)) / 1000);
      show(this.open, false);
      this.player.element.focus();
      await drawn;
    } catch (error) {
      write(this.problem, sentence(error));
    } finally {
      this.open.disabled = false;
    }
  }

  async keep({ recordingId, callId, role, part }) {
    write(this.problem, '');
    try {
      const url = URL.createObjectURL(await sound(recordingId, '?download=1'));
      h('a', { href: url, download: `${callId}-${role}-${part}.opus` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      write(this.problem, sentence(error));
    }
  }
}

async function sound(recordingId, more = '') {
  const headers = { Authorization: `Bearer ${session.token}` };
  const response = await fetch(new URL(`recordings/${recordingId}${more}`, location.href), { headers }).catch(() => {
    throw new Refused(0);
  });
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => ({})));
  return response.blob();
}

function fileRow(one, recording) {
  const text = h('span', {});
  const download = h('button', { class: 'button small', type: 'button', click: () => recording.keep(one) }, 'Download');
  return {
    element: h('li', {}, text, ' ', download),
    update({ userId, part, state, durationMs, bytes: size, error }) {
      const what = state === 'stored' ? `${duration(durationMs / 1000)}, ${bytes(size)}` : WAITS[state];
      write(text, `${userId}${part > 1 ? `, part ${part}` : ''}: ${what}${error ? ` (${error})` : ''}`);
      show(download, state === 'stored');
    },
  };
}

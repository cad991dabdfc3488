// The search over all calls: its form, what it finds, and the same as a file. What is searched stands in the address.
import { CallList } from './call-list.js';
import { say } from './dialogs.js';
import { $, h, write } from './dom.js';
import { bytes } from './format.js';
import { sentence, session } from './session.js';
import { fromLocal, toLocal } from './times.js';

const METADATA = 'metadata.';
const FILE_KEPT_MS = 60_000; // until when the browser has certainly begun to write it
const MOMENTS = ['from', 'to'];

export class HistoryView {
  constructor(poller) {
    Object.assign(this, { poller, element: $('history'), title: $('history-title'), place: '#/history', name: 'History' });
    this.form = $('search');
    this.list = new CallList('found-title');
    $('found').append(this.list.element);
    this.form.addEventListener('submit', (event) => this.submit(event));
    this.form.addEventListener('reset', () => this.setMetadata([]));
    $('search-another').addEventListener('click', () => this.addMetadata().querySelector('input').focus());
    $('csv').addEventListener('click', () => this.download());
  }

  // What the address asks for; without anything, every call.
  start(asked = '') {
    this.query = new URLSearchParams(asked);
    if (!this.query.has('state')) this.query.set('state', 'all');
    this.fill();
    this.list.search(this.query);
  }

  stop() {}

  forget() {
    this.list.clear();
    this.form.reset();
    write($('csv-state'), '');
  }

  fill() {
    for (const input of this.form.querySelectorAll('[name]')) {
      const value = this.query.get(input.name) ?? '';
      input.value = MOMENTS.includes(input.name) ? toLocal(value) : value;
    }
    const given = [...this.query].filter(([name]) => name.startsWith(METADATA));
    this.setMetadata(given.map(([name, value]) => [name.slice(METADATA.length), value]));
  }

  setMetadata(pairs) {
    $('search-metadata').replaceChildren();
    for (const [key, value] of pairs.length ? pairs : [['', '']]) this.addMetadata(key, value);
  }

  addMetadata(key = '', value = '') {
    const pair = h(
      'div',
      { class: 'pair' },
      h('label', {}, 'Key', h('input', { value: key, maxlength: '64', autocomplete: 'off', spellcheck: 'false' })),
      h('label', {}, 'Text', h('input', { value, maxlength: '512', autocomplete: 'off', spellcheck: 'false' })),
    );
    $('search-metadata').append(pair);
    return pair;
  }

  submit(event) {
    event.preventDefault();
    const place = `${this.place}?${this.asked()}`;
    if (location.hash === place) this.start(String(this.asked())); // the address does not change, and nobody is told
    else location.hash = place;
  }

  // What the form asks for, by the API's names.
  asked() {
    const query = new URLSearchParams();
    for (const { name, value } of this.form.querySelectorAll('[name]'))
      if (value.trim()) query.set(name, MOMENTS.includes(name) ? fromLocal(value) : value.trim());
    for (const pair of $('search-metadata').children) {
      const [key, text] = [...pair.querySelectorAll('input')].map(({ value }) => value.trim());
      if (key) query.set(METADATA + key, text);
    }
    return query;
  }

  async download() {
    const button = $('csv');
    button.disabled = true;
    write($('csv-state'), 'The file is being made …');
    try {
      const file = await session.file(`calls.csv?${this.query}`);
      save(file, 'calls.csv');
      write($('csv-state'), `calls.csv, ${bytes(file.size)}.`);
      say('The file was downloaded.');
    } catch (error) {
      write($('csv-state'), sentence(error));
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body) button.focus(); // which a disabled one loses
    }
  }
}

// Gives a file to whoever sits there, as a link would that needs no token.
function save(file, name) {
  const href = URL.createObjectURL(file);
  h('a', { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), FILE_KEPT_MS);
}

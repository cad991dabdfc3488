// What is true of the node on every view: ready or not, draining or not.
import { ask, say } from './dialogs.js';
import { $, keyed, h, set, show, write } from './dom.js';
import { clockTime, ms, words } from './format.js';
import { asked } from './nodes.js';
import { sentence, session } from './session.js';

const EVERY_MS = 2000;
const PARTS = { draining: 'new calls', ports: 'descriptors', stress: 'room for calls' }; // what is well where a check is
const READY = { ready: 'good', draining: 'warn', unavailable: 'bad' };

export class Node {
  constructor(poller) {
    this.poller = poller;
    $('drain').addEventListener('click', () => this.drain());
    $('undrain').addEventListener('click', () => this.undrain());
  }

  start() {
    this.stops = [
      this.poller.every(EVERY_MS, () => this.askReady()),
      this.poller.every(EVERY_MS, async () => this.showDrain(await session.ask('GET', 'drain'))),
    ];
  }

  stop() {
    this.stops?.forEach((stop) => stop());
    show($('draining'), false);
  }

  // 503 is an answer like 200: it says what is wrong.
  async askReady() {
    const { status, checks } = await session.ask('GET', '../health/ready').catch((error) => {
      if (error.answer?.checks) return error.answer;
      throw error;
    });
    show($('ready'), true);
    write($('ready'), status);
    set($('ready'), 'data-rank', READY[status]);
    keyed($('checks'), checks, ({ name }) => name, checkRow);
  }

  showDrain({ draining, deadlineAt, liveCalls }) {
    show($('draining'), draining);
    show($('drain'), !draining);
    const calls = `${liveCalls} ${liveCalls === 1 ? 'call' : 'calls'} left.`;
    const deadline = deadlineAt ? ` What is left at ${clockTime(deadlineAt)} is ended.` : '';
    write($('draining-text'), `Draining: no new calls are taken, ${calls}${deadline}`);
  }

  async drain() {
    const done = await ask('drain-dialog', async () => {
      this.showDrain(await session.ask('POST', 'drain', asked()));
    });
    if (!done) return;
    say('Draining. No new calls are taken.');
    $('undrain').focus();
  }

  async undrain() {
    $('undrain').disabled = true;
    try {
      this.showDrain(await session.ask('DELETE', 'drain'));
      say('Calls are taken again.');
      $('drain').focus();
    } catch (error) {
      write($('draining-text'), sentence(error));
    } finally {
      $('undrain').disabled = false;
    }
  }
}

function checkRow() {
  const [mark, name, problem, time] = ['pill', '', 'problem', 'muted number'].map((kind) => h('span', { class: kind }));
  return {
    element: h('li', {}, mark, name, problem, time),
    update(check) {
      write(mark, check.ok ? 'ok' : 'failing');
      set(mark, 'data-rank', check.ok ? 'good' : 'bad');
      write(name, words(PARTS[check.name] ?? check.name));
      write(problem, check.problem ?? '');
      write(time, ms(check.ms));
    },
  };
}

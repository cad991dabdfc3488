// Webhooks: where back ends are told of calls, what became of each delivery, and another try.
import { say } from './dialogs.js';
import { $, h, keyed, set, show, write } from './dom.js';
import { clockTime, number } from './format.js';
import { sentence, session } from './session.js';

const EVERY_MS = 3000;
const RANK = { well: 'good', failing: 'warn', disabled: 'bad' };
const STATUS_RANK = { delivered: 'good', pending: 'warn', dead: 'bad' };
const WHY = {
  admin: 'an admin disabled it',
  gone: 'its receiver answered 410',
  failing: 'it had no success for five days',
  unset: 'the settings name none any more',
};

export class WebhooksView {
  constructor(poller) {
    Object.assign(this, { poller, element: $('webhooks'), title: $('webhooks-title'), place: '#/webhooks', name: 'Webhooks', chosen: null, details: new Map() });
    $('delivery-status').addEventListener('change', () => this.poller.now());
    $('webhook').addEventListener('change', () => this.poller.now());
    $('replay').addEventListener('submit', (event) => this.replay(event));
    $('webhook-test').addEventListener('click', () => this.act('Test', () => this.post('test', 'A test is on its way.')));
    $('webhook-enable').addEventListener('click', () => this.act('Change', () => this.toggle()));
  }

  start() {
    this.stopAsking = this.poller.every(EVERY_MS, () => this.look());
  }

  stop() {
    this.stopAsking?.();
  }

  async look() {
    const { webhooks } = await session.ask('GET', 'webhooks');
    show($('no-webhooks'), !webhooks.length);
    show($('webhook-parts'), webhooks.length);
    keyed($('webhook'), webhooks, ({ webhookId }) => webhookId, option);
    this.chosen = webhooks.find(({ webhookId }) => webhookId === $('webhook').value) ?? webhooks[0];
    if (!this.chosen) return;
    this.showChosen();
    const status = $('delivery-status').value;
    const query = status ? `?status=${status}` : '';
    const { deliveries } = await session.ask('GET', `${this.path}/deliveries${query}`);
    show($('no-deliveries'), !deliveries.length);
    keyed($('deliveries'), deliveries, ({ deliveryId }) => deliveryId, (one) => this.row(one));
  }

  get path() {
    return `webhooks/${encodeURIComponent(this.chosen.webhookId)}`;
  }

  showChosen() {
    const { enabled, failingSince, disabledReason, events, url, fromSettings } = this.chosen;
    const state = !enabled ? 'disabled' : failingSince ? 'failing' : 'well';
    write($('webhook-state'), state);
    set($('webhook-state'), 'data-rank', RANK[state]);
    const why = !enabled ? WHY[disabledReason] : failingSince ? `no success since ${clockTime(new Date(failingSince))}` : '';
    write($('webhook-about'), [url, why, events.join(', ')].filter(Boolean).join(' · '));
    write($('webhook-enable'), enabled ? 'Disable' : 'Enable');
    show($('webhook-enable'), !fromSettings);
  }

  // One delivery: its line, and when it is opened what was sent and what was answered.
  row({ deliveryId, type }) {
    const cells = ['Type', 'Call', 'Status', 'Attempts', 'Made', 'Answer'].map((label) =>
      h('td', { role: 'cell', 'data-label': label, class: label === 'Attempts' ? 'number' : null }),
    );
    const [ofType, call, status, attempts, made, answer] = cells;
    const pill = h('span', { class: 'pill' });
    const body = h('pre', { class: 'small', tabindex: '0', 'aria-label': 'What was sent' });
    const open = h('details', {}, h('summary', {}, type), body);
    const retry = h(
      'button',
      { class: 'button small', type: 'button', click: () => this.act('Retry', () => this.retry(deliveryId)) },
      'Send again',
      h('span', { class: 'visually-hidden' }, ` the ${type} ${deliveryId}`),
    );
    set(open, 'toggle', () => open.open && this.act('Look', () => sent(deliveryId, body)));
    ofType.append(open);
    status.append(pill);
    return {
      element: h('tr', { role: 'row', 'data-delivery': deliveryId }, cells, h('td', { role: 'cell' }, retry)),
      update: (one) => {
        write(call, one.callId ?? '–');
        write(pill, one.status);
        set(pill, 'data-rank', STATUS_RANK[one.status]);
        write(attempts, number(one.attempts));
        write(made, clockTime(new Date(one.createdAt)));
        write(answer, [one.answerStatus, one.answer].filter((part) => part != null && part !== '').join(' '));
      },
    };
  }

  async post(what, done, body) {
    await session.ask('POST', `${this.path}/${what}`, body);
    say(done);
  }

  async retry(deliveryId) {
    await session.ask('POST', `webhooks/deliveries/${encodeURIComponent(deliveryId)}/retry`);
    say('It is sent again.');
  }

  async toggle() {
    await session.ask('PATCH', this.path, { enabled: !this.chosen.enabled });
    say(this.chosen.enabled ? 'Nothing is sent to it any more.' : 'It is used again.');
  }

  replay(event) {
    event.preventDefault();
    const to = new Date();
    const from = new Date(to - Number($('replay-hours').value) * 3600e3);
    const span = { from: from.toISOString(), to: to.toISOString() };
    return this.act('Replay', () => this.post('replay', 'It is all sent again.', span));
  }

  async act(_what, work) {
    write($('webhook-problem'), '');
    try {
      await work();
      this.poller.now();
    } catch (error) {
      write($('webhook-problem'), sentence(error));
    }
  }
}

async function sent(deliveryId, body) {
  const delivery = await session.ask('GET', `webhooks/deliveries/${encodeURIComponent(deliveryId)}`);
  write(body, `webhook-id: ${deliveryId}\n\n${JSON.stringify(JSON.parse(delivery.body), null, 2)}`);
}

function option({ webhookId }) {
  const element = h('option', { value: webhookId });
  return { element, update: ({ url, description }) => write(element, description || url) };
}

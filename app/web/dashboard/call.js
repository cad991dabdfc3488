// One call's page: its facts, its parties' media right now, its quality, and everything that happened to it.
import { pageOfPerson } from './call-list.js';
import { RANK, drawQuality, endCall } from './calls.js';
import { $, h, keyed, set, show, write } from './dom.js';
import { DASH, clockTime, dateTime, duration, ms, number, percent, words } from './format.js';
import { PartyCard } from './party.js';
import { Record } from './record.js';
import { Recording } from './recording.js';
import { sentence, session } from './session.js';
import { Supervise } from './supervise.js';
import { Facts } from './tables.js';

const EVERY_MS = 1000;
const TIMELINE_KNOWN = ['at', 'type'];

const FACTS = [
  [
    'Talked',
    ({ durationSeconds, connectedAt, endedAt, interruptedSeconds }) =>
      duration(durationSeconds ?? (connectedAt && !endedAt ? since(connectedAt) - interruptedSeconds : null)),
  ],
  [
    'Interrupted',
    ({ interruptions, interruptedSeconds }) =>
      interruptions.length ? `${interruptions.length} ×, ${duration(interruptedSeconds)}` : DASH,
  ],
  [
    'Charged',
    ({ billedPoints, billedUnits }) =>
      `${number(billedPoints)} points, ${billedUnits} ${billedUnits === 1 ? 'unit' : 'units'}`,
  ],
  ['Price', ({ pricePerMinute }) => `${number(pricePerMinute)} a minute`],
  ['Asked', ({ createdAt }) => dateTime(createdAt)],
  ['Accepted', ({ acceptedAt }) => clockTime(acceptedAt)],
  ['Connected', ({ connectedAt }) => clockTime(connectedAt)],
  ['Ended', ({ endedAt }) => clockTime(endedAt)],
  ['Reason', ({ endReason }) => (endReason ? words(endReason) : DASH)],
  ['Worker', ({ live, worker }) => live?.worker ?? worker ?? DASH],
];

const since = (at) => (Date.now() - Date.parse(at)) / 1000;

export class CallView {
  constructor(poller) {
    Object.assign(this, { poller, element: $('call') });
    this.title = h('h1', { tabindex: '-1' });
    this.supervise = new Supervise();
    this.recording = new Recording();
  }

  // Made anew for each call: what belonged to another one must not stay for a moment.
  start(callId) {
    Object.assign(this, { callId, name: `Call ${callId}`, call: null });
    this.supervise.show(callId);
    this.recording.show(callId);
    this.build();
    write(this.title, callId);
    this.stopAsking = this.poller.every(EVERY_MS, () => this.ask());
  }

  stop() {
    this.stopAsking();
    this.supervise.leave();
    this.recording.leave();
  }

  forget() {
    this.element.replaceChildren();
  }

  build() {
    this.state = h('span', { class: 'pill', hidden: true });
    this.end = h(
      'button',
      { class: 'button danger', type: 'button', hidden: true, click: () => this.endIt() },
      'End call …',
    );
    this.who = h('p', { class: 'who' });
    [this.user, this.otomo] = [h('a', {}), h('a', {})];
    this.who.append(this.user, ' calls ', this.otomo);
    show(this.who, false);
    this.back = h('p', { hidden: true }, h('a', {}));
    this.record = new Record(this.callId);
    this.problem = h('p', { class: 'notice bad', role: 'alert', hidden: true });
    this.flags = h('ul', { class: 'flag-list' });
    this.facts = new Facts(FACTS, 'card facts wide');
    this.qualities = h('ul', { class: 'qualities' });
    this.parties = h('div', { class: 'parties' });
    this.over = h('p', { class: 'muted', hidden: true }, 'The call is over; this is its record.');
    this.timeline = h('ol', { class: 'timeline' });
    this.interruptions = h('ol', { class: 'timeline' });
    this.rooms = h('ol', { class: 'timeline' });
    this.interrupted = titled('Interruptions', this.interruptions);
    this.moved = titled('Rooms', this.rooms);
    this.body = h(
      'div',
      { hidden: true },
      this.facts.element,
      h(
        'div',
        { class: 'columns' },
        h(
          'div',
          {},
          h('section', { 'aria-label': 'Media' }, h('h2', {}, 'Media'), this.over, this.qualities, this.parties),
          this.record.element,
        ),
        h('div', {}, this.recording.element, titled('Timeline', this.timeline), this.interrupted, this.moved),
      ),
    );
    this.element.replaceChildren(
      this.back,
      h('div', { class: 'heading' }, this.title, this.state, h('span', { class: 'spread' }), this.supervise.button, this.end),
      this.who,
      this.problem,
      this.supervise.others,
      this.supervise.panel,
      this.supervise.problem,
      this.flags,
      this.body,
    );
  }

  async ask() {
    try {
      const { record } = this;
      const call = await session.ask('GET', `calls/${encodeURIComponent(this.callId)}`);
      if (record !== this.record) return; // it is another call's page by now
      this.draw(call);
      await Promise.all([this.supervise.draw(call), record.update(call), this.recording.draw(call)]);
    } catch (error) {
      if (error.code !== 'CALL_NOT_FOUND') throw error;
      write(this.problem, sentence(error));
      show(this.problem, true);
    }
  }

  draw(call) {
    this.call = call;
    show(this.body, true);
    show(this.state, true);
    write(this.state, call.state);
    set(this.state, 'data-rank', RANK[call.state]);
    show(this.end, !['ending', 'ended'].includes(call.state));
    show(this.who, true);
    this.link(this.user, 'user', call.userId);
    this.link(this.otomo, 'otomo', call.otomoId);
    this.facts.update(call);
    keyed(this.flags, call.flags, ({ type, role }) => `${type} ${role}`, flagRow);
    keyed(this.qualities, call.quality, ({ fromRole }) => fromRole, qualityRow);
    show(this.over, call.state === 'ended');
    keyed(
      this.parties,
      call.live?.parties ?? [],
      ({ role }) => role,
      (party) => new PartyCard(party),
    );
    show(this.interrupted, call.interruptions.length > 0);
    keyed(this.interruptions, call.interruptions, ({ since: at }) => at, interruptionRow);
    show(this.moved, call.segments.length > 1);
    keyed(this.rooms, call.segments, ({ mediaEpoch }) => mediaEpoch, roomRow);
    keyed(
      this.timeline,
      call.timeline.map((step, row) => ({ ...step, row })),
      ({ row }) => row,
      timelineRow,
    );
  }

  link(element, role, userId) {
    write(element, userId);
    set(element, 'href', pageOfPerson(role, userId));
  }

  // The list from which somebody came.
  comeFrom({ name, hash }) {
    const link = this.back.firstElementChild;
    write(link, `← ${name}`);
    set(link, 'href', hash);
    show(this.back, true);
  }

  async endIt() {
    if (await endCall(this.call)) {
      this.poller.now();
      this.title.focus();
    }
  }
}

function flagRow() {
  const element = h('li', { class: 'notice' });
  return {
    element,
    update: ({ type, userId, since: at }) => write(element, `${words(type)}: ${userId}, since ${clockTime(at)}`),
  };
}

function qualityRow({ from, to }) {
  const [mos, more] = [h('b', {}), h('span', { class: 'muted number' })];
  return {
    element: h('li', { class: 'card' }, h('span', { class: 'id' }, from, ' → ', to), mos, more),
    update({ mos: score, lossPercent, jitterMs, roundTripMs }) {
      drawQuality(mos, score);
      const parts = [
        [lossPercent, percent, 'loss'],
        [jitterMs, ms, 'jitter'],
        [roundTripMs, ms, 'round trip'],
      ];
      const known = parts.filter(([value]) => value != null);
      write(more, score == null ? 'not heard' : known.map(([value, unit, name]) => `${unit(value)} ${name}`).join(' · '));
    },
  };
}

const titled = (name, list) =>
  h('section', { 'aria-label': name }, h('h2', {}, name), h('div', { class: 'card' }, list));

function interruptionRow({ since: at }) {
  const [what, until] = [h('b', {}), h('span', { class: 'muted' })];
  return {
    element: h('li', {}, h('time', { class: 'muted number', datetime: at }, clockTime(at)), what, until),
    update({ reason, userId, until: end }) {
      write(what, userId ? `${words(reason)}: ${userId}` : words(reason));
      write(until, end ? `for ${duration((Date.parse(end) - Date.parse(at)) / 1000)}` : `for ${duration(since(at))} so far`);
    },
  };
}

function roomRow({ mediaEpoch, node, worker, beganAt, talkedBeforeSeconds, reason }) {
  return {
    element: h(
      'li',
      {},
      h('time', { class: 'muted number', datetime: beganAt }, clockTime(beganAt)),
      h('b', {}, `room ${mediaEpoch}${reason ? `: ${words(reason)}` : ''}`),
      h('span', { class: 'muted' }, `worker ${worker} of ${node}, after ${duration(talkedBeforeSeconds)} of talk`),
    ),
    update() {},
  };
}

// What a step tells besides its time and type is for the eye of whoever knows: name and value.
function timelineRow() {
  const [time, type, more] = [h('time', { class: 'muted number' }), h('b', {}), h('span', { class: 'muted' })];
  return {
    element: h('li', {}, time, type, more),
    update({ row, ...step }) {
      set(time, 'datetime', step.at);
      write(time, clockTime(step.at));
      write(type, words(step.type));
      const rest = Object.entries(step).filter(([name, value]) => !TIMELINE_KNOWN.includes(name) && value != null);
      write(
        more,
        rest
          .map(
            ([name, value]) =>
              `${words(name)}: ${typeof value === 'object' ? JSON.stringify(value) : String(value).replaceAll('_', ' ')}`,
          )
          .join(', '),
      );
    },
  };
}

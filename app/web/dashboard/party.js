// One party of a live call: its sockets, and the numbers of each of its transports, producers and consumers.
import { h, keyed, set, write } from './dom.js';
import { DASH, ago, bits, bytes, ms, number, percent } from './format.js';

const RANK = {
  connected: 'good',
  completed: 'good',
  new: 'busy',
  connecting: 'busy',
  disconnected: 'bad',
  failed: 'bad',
  closed: 'bad',
};

const TRANSPORT = [
  ['ICE', ({ iceState }) => iceState],
  ['DTLS', ({ dtlsState }) => dtlsState],
  ['Received', ({ bytesReceived }) => bytes(bytesReceived)],
  ['Sent', ({ bytesSent }) => bytes(bytesSent)],
  ['Path', ({ selectedTuple }) => path(selectedTuple)],
];

const PRODUCER = [
  ['Last RTP', ({ lastRtpAt }) => ago(lastRtpAt)],
  ['Level', ({ level }) => (level == null ? DASH : `${number(level)} dB`)],
  ['Packets', ({ packets }) => number(packets)],
  ['Bitrate', ({ bitrate }) => bits(bitrate)],
  [
    'Loss',
    ({ lossPercent, packetsLost }) => `${percent(lossPercent)}${packetsLost ? ` (${number(packetsLost)})` : ''}`,
  ],
  ['Jitter', ({ jitterMs }) => ms(jitterMs)],
  ['Round trip', ({ roundTripMs }) => ms(roundTripMs)],
  ['Score', ({ score }) => score ?? DASH],
];

const CONSUMER = [
  ['Packets', ({ packets }) => number(packets)],
  ['Bitrate', ({ bitrate }) => bits(bitrate)],
  [
    'Loss',
    ({ lossPercent, packetsLost }) => `${percent(lossPercent)}${packetsLost ? ` (${number(packetsLost)})` : ''}`,
  ],
  ['Round trip', ({ roundTripMs }) => ms(roundTripMs)],
  ['Score', ({ score }) => score ?? DASH],
];

export class PartyCard {
  constructor({ userId, role }) {
    this.about = h('p', { class: 'muted small' });
    this.objects = h('div', { class: 'objects' });
    this.element = h(
      'article',
      { class: 'card party' },
      h('h3', {}, h('span', { class: 'id' }, userId), h('span', { class: 'muted' }, ` ${role}`)),
      this.about,
      this.objects,
    );
  }

  update({ sockets, lastRtpAt, transports, producers, consumers }) {
    write(this.about, `${sockets} ${sockets === 1 ? 'WebSocket' : 'WebSockets'} · last RTP ${ago(lastRtpAt)}`);
    const objects = [
      ...transports.map((one) => ({
        id: one.transportId,
        name: one.direction === 'send' ? 'Send transport' : 'Receive transport',
        status: one.dtlsState,
        facts: TRANSPORT,
        one,
      })),
      ...producers.map((one) => ({
        id: one.producerId,
        name: `Sends ${one.kind}`,
        status: one.paused ? 'paused' : 'sending',
        facts: PRODUCER,
        one,
      })),
      ...consumers.map((one) => ({
        id: one.consumerId,
        name: 'Hears',
        status: one.paused ? 'paused' : 'receiving',
        facts: CONSUMER,
        one,
      })),
    ];
    keyed(this.objects, objects, ({ id }) => id, objectRow);
  }
}

function objectRow({ id, name, facts }) {
  const status = h('span', { class: 'pill' });
  const values = facts.map(() => h('dd', { class: 'number' }));
  return {
    element: h(
      'section',
      { class: 'object' },
      h('h4', { title: id }, name),
      status,
      h(
        'dl',
        { class: 'facts' },
        facts.map(([label], fact) =>
          h('div', { class: label === 'Path' ? 'path' : null }, h('dt', {}, label), values[fact]),
        ),
      ),
    ),
    update(now) {
      write(status, now.status);
      set(status, 'data-rank', RANK[now.status] ?? (now.status === 'paused' ? 'warn' : 'good'));
      facts.forEach(([, value], fact) => write(values[fact], value(now.one)));
    },
  };
}

function path(tuple) {
  if (!tuple) return DASH;
  const { protocol, localPort, remoteAddress, remotePort } = tuple;
  return `${remoteAddress}:${remotePort} → :${localPort} ${protocol}`;
}

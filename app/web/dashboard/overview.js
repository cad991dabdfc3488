// The overview: what happens now, the live calls, the last hour, the workers.
import { callRow } from './calls.js';
import { Chart } from './chart.js';
import { $, keyed, show, write } from './dom.js';
import { brief, ms, number, percent } from './format.js';
import { nameOf, together } from './nodes.js';
import { session } from './session.js';
import { tile } from './tiles.js';
import { workerCard } from './workers.js';

const NOW_EVERY_MS = 2000;
const SERIES_EVERY_MS = 5000; // which is how often the server takes a sample
const PAGES = [50, 100, 200]; // calls; 200 are the most that one answer holds

const CHARTS = [
  {
    title: 'Calls',
    unit: (value) => number(value),
    atLeast: 3,
    counted: true,
    lines: [
      { label: 'live', field: 'calls' },
      { label: 'talking', field: 'talking' },
    ],
  },
  {
    title: 'Stress',
    unit: percent,
    atLeast: 30,
    lines: [{ label: 'of what the node should carry', field: 'stressPercent' }],
  },
  {
    title: 'CPU',
    unit: percent,
    atLeast: 15,
    lines: [
      { label: 'workers', field: 'workerCpuPercent' },
      { label: 'control plane', field: 'nodeCpuPercent' },
    ],
  },
  {
    title: 'Packets a second',
    unit: brief,
    atLeast: 30,
    lines: [
      { label: 'received', field: 'packetsIn' },
      { label: 'forwarded', field: 'packetsOut' },
    ],
  },
  {
    title: 'Latency',
    unit: ms,
    atLeast: 6,
    lines: [
      { label: 'HTTP p95', field: 'httpP95Ms' },
      { label: 'event loop', field: 'loopLagMs' },
    ],
  },
  {
    title: 'Packet loss',
    unit: percent,
    atLeast: 0.9,
    lines: [{ label: 'of what parties sent', field: 'lossPercent' }],
  },
];

const TILES = [
  { name: 'Live calls', value: ({ calls }) => number(calls), more: ({ talking }) => `${number(talking)} talking` },
  { name: 'Stress', value: ({ stressPercent }) => percent(stressPercent), more: () => '100 % is full' },
  {
    name: 'Packets a second',
    value: ({ packetsIn }) => brief(packetsIn),
    more: ({ packetsOut }) => `${brief(packetsOut)} forwarded`,
  },
  { name: 'Packet loss', value: ({ lossPercent }) => percent(lossPercent), more: () => 'of what parties sent' },
  {
    name: 'HTTP p95',
    value: ({ httpP95Ms }) => ms(httpP95Ms),
    more: ({ httpRequests }) => `${brief(httpRequests)} requests a second`,
  },
  { name: 'WebSockets', value: ({ sockets }) => number(sockets), more: ({ loopLagMs }) => `loop lag ${ms(loopLagMs)}` },
];

export class Overview {
  constructor(poller) {
    Object.assign(this, { poller, element: $('overview'), title: $('overview-title'), place: '#/', name: 'Overview', page: 0, samples: [] });
    this.tiles = TILES.map(tile);
    this.charts = CHARTS.map((one) => new Chart(one));
    $('tiles').append(...this.tiles.map(({ element }) => element));
    $('charts').append(...this.charts.map(({ element }) => element));
    document.querySelectorAll('[name=range]').forEach((one) => one.addEventListener('change', () => this.drawCharts()));
    $('state').addEventListener('change', () => this.poller.now());
    $('find').addEventListener('submit', (event) => {
      event.preventDefault();
      location.hash = `#/calls/${encodeURIComponent($('call-id').value.trim())}`;
    });
    $('more').addEventListener('click', () => {
      this.page += 1;
      this.poller.now();
    });
  }

  start() {
    this.stops = [
      this.poller.every(NOW_EVERY_MS, () => this.askCalls()),
      this.poller.every(NOW_EVERY_MS, () => this.askWorkers()),
      this.poller.every(SERIES_EVERY_MS, () => this.askSeries()),
    ];
  }

  stop() {
    this.stops?.forEach((stop) => stop());
  }

  async askCalls() {
    const query = new URLSearchParams({ limit: PAGES[this.page] });
    if ($('state').value) query.set('state', $('state').value);
    const { calls, nextCursor } = await session.ask('GET', `calls?${query}`);
    keyed($('calls'), calls, ({ callId }) => callId, callRow);
    write($('no-calls'), $('state').value ? `No call is ${$('state').value}.` : 'No live calls.');
    show($('no-calls'), !calls.length);
    show($('calls').parentElement, calls.length);
    show($('more-calls'), nextCursor && this.page < PAGES.length - 1);
  }

  async askWorkers() {
    const { workers, unanswered } = await session.ask('GET', 'workers');
    keyed($('workers'), workers, ({ node, index }) => `${node} ${index}`, workerCard);
    write($('unanswered'), unanswered.map((node) => `Node ${nameOf(node)} does not answer.`).join(' '));
    show($('unanswered'), unanswered.length);
  }

  async askSeries() {
    this.samples = together(await session.ask('GET', 'series')).map((sample) => ({ ...sample, stressPercent: sample.stress * 100 }));
    this.tiles.forEach((one) => one.update(this.samples.at(-1) ?? {}));
    this.drawCharts();
  }

  drawCharts() {
    const minutes = Number(document.querySelector('[name=range]:checked').value);
    this.charts.forEach((chart) => chart.update(this.samples, minutes * 60_000));
  }
}

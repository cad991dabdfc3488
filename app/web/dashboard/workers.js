// One worker as a card.
import { h, set, show, write } from './dom.js';
import { DASH, brief, bytes, clockTime, duration, ms, number, percent } from './format.js';
import { nameOf } from './nodes.js';

const RANK = { up: 'good', starting: 'warn', gave_up: 'bad' };

const perSecond = (value) => (value == null ? DASH : `${brief(value)}/s`);

const FACTS = [
  ['CPU', ({ cpuPercent }) => percent(cpuPercent)],
  ['Memory', ({ memoryBytes }) => bytes(memoryBytes)],
  ['Stress', ({ stress }) => (stress == null ? DASH : percent(stress * 100))],
  ['Rooms', ({ routers }) => number(routers)],
  ['Transports', ({ transports }) => number(transports)],
  ['Producers', ({ producers }) => number(producers)],
  ['Consumers', ({ consumers }) => number(consumers)],
  ['Packets in', ({ packetsPerSecond }) => perSecond(packetsPerSecond?.in)],
  ['Packets out', ({ packetsPerSecond }) => perSecond(packetsPerSecond?.out)],
  ['Request p50', ({ requests }) => ms(requests?.p50Ms)],
  ['Request p99', ({ requests }) => ms(requests?.p99Ms)],
  ['Requests open', ({ requests }) => number(requests?.pending)],
];

export function workerCard({ node, index }) {
  const [state, about, problem] = [
    h('span', { class: 'pill' }),
    h('p', { class: 'muted small' }),
    h('p', { class: 'problem small' }),
  ];
  const values = FACTS.map(() => h('dd', { class: 'number' }));
  const fill = h('i', {});
  const bar = h('div', { class: 'load', 'aria-hidden': 'true' }, fill); // the number stands below
  return {
    element: h(
      'article',
      { class: 'card worker' },
      h('h3', {}, `Worker ${index}`, h('span', { class: 'of-cluster muted small' }, ` of ${nameOf(node)}`)),
      state,
      about,
      bar,
      h(
        'dl',
        { class: 'facts' },
        FACTS.map(([name], fact) => h('div', {}, h('dt', {}, name), values[fact])),
      ),
      problem,
    ),
    update(worker) {
      write(state, worker.state.replace('_', ' '));
      set(state, 'data-rank', RANK[worker.state]);
      write(about, described(worker));
      FACTS.forEach(([, value], fact) => write(values[fact], value(worker)));
      fill.style.setProperty('--part', Math.min(1, (worker.cpuPercent ?? 0) / 100));
      write(problem, troubles(worker).join(' '));
      show(problem, troubles(worker).length);
    },
  };
}

function described({ pid, version, uptimeSeconds, restarts, probe }) {
  const parts = [pid && `pid ${pid}`, `mediasoup ${version}`, uptimeSeconds != null && `up ${duration(uptimeSeconds)}`];
  if (probe?.ok) parts.push(`probed ${clockTime(probe.at)}: ${ms(probe.ms)}`);
  if (restarts) parts.push(`${restarts} ${restarts === 1 ? 'restart' : 'restarts'}`);
  return parts.filter(Boolean).join(' · ');
}

function troubles({ failure, probe, state }) {
  const found = [];
  if (failure) found.push(`${state === 'up' ? 'The one before: ' : ''}${failure}.`);
  if (probe && !probe.ok)
    found.push(`The probe of ${clockTime(probe.at)} failed: ${probe.problem ?? 'no packet came back'}.`);
  return found;
}

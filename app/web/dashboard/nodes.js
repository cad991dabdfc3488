// The nodes of a cluster: what each carries, and draining one. A node that is alone shows none of this.
import { ask, say } from './dialogs.js';
import { $, h, keyed, set, show, write } from './dom.js';
import { ms, number, percent } from './format.js';
import { sentence, session } from './session.js';

const EVERY_MS = 2000;
const RANK = { up: 'good', draining: 'warn', gone: 'bad' };
const STEP_MS = 5000; // of the series
const SUMMED = ['calls', 'talking', 'packetsIn', 'packetsOut', 'httpRequests', 'sockets'];
const WORST = ['stress', 'loopLagMs', 'workerCpuPercent', 'nodeCpuPercent', 'httpP95Ms', 'lossPercent'];

const FACTS = [
  ['Live calls', ({ liveCalls }) => number(liveCalls)],
  ['Stress', ({ stress }) => percent(stress * 100)],
  ['Heard of', ({ beatAgeMs }) => `${ms(beatAgeMs)} ago`],
];

export class Nodes {
  constructor(poller) {
    this.poller = poller;
  }

  start() {
    this.stop = this.poller.every(EVERY_MS, async () => this.show(await session.ask('GET', 'nodes')));
  }

  show({ nodes }) {
    const several = nodes.some(({ address }) => address != null);
    document.body.classList.toggle('cluster', several); // what is one node's is not shown then
    show($('nodes-section'), several);
    keyed($('nodes'), several ? nodes : [], ({ nodeId }) => nodeId, nodeCard);
  }
}

export const nameOf = (nodeId) => nodeId.replace(/-[0-9a-f]{8}$/, '');

// Samples of all nodes as those of one: sums of what is counted, of the rest the worst node's.
export function together({ samples, others }) {
  if (!others.length) return samples;
  const steps = new Map();
  for (const sample of [samples, ...others.map((other) => other.samples)].flat()) {
    const step = Math.floor(Date.parse(sample.at) / STEP_MS);
    steps.set(step, [...(steps.get(step) ?? []), sample]);
  }
  return [...steps.entries()].sort(([a], [b]) => a - b).map(([, found]) => merged(found));
}

function merged(samples) {
  const whole = { at: samples[0].at };
  for (const field of SUMMED) whole[field] = samples.reduce((sum, one) => sum + one[field], 0);
  for (const field of WORST) {
    const known = samples.map((one) => one[field]).filter((value) => value != null);
    whole[field] = known.length ? Math.max(...known) : null;
  }
  return whole;
}

function nodeCard({ nodeId, name }) {
  let latest;
  const [state, about, problem] = [
    h('span', { class: 'pill' }),
    h('p', { class: 'muted small' }),
    h('p', { class: 'problem small', role: 'alert' }),
  ];
  const values = FACTS.map(() => h('dd', { class: 'number' }));
  const word = h('span', {});
  const button = h(
    'button',
    { class: 'button small', type: 'button', click: () => change(latest, button, problem) },
    word,
    h('span', { class: 'visually-hidden' }, ` on node ${name}`),
  );
  return {
    element: h(
      'article',
      { class: 'card worker', 'data-node': nodeId },
      h('h3', {}, name),
      state,
      about,
      h(
        'dl',
        { class: 'facts' },
        FACTS.map(([fact], index) => h('div', {}, h('dt', {}, fact), values[index])),
      ),
      h('p', {}, button),
      problem,
    ),
    update(node) {
      latest = node;
      write(state, node.state);
      set(state, 'data-rank', RANK[node.state]);
      write(about, `number ${node.number} · voiceplane ${node.version} · ${node.address}`);
      FACTS.forEach(([, value], index) => write(values[index], value(node)));
      write(word, node.state === 'draining' ? 'Take calls again' : 'Drain …');
      show(button, node.state !== 'gone');
    },
  };
}

async function change({ nodeId, name, state }, button, problem) {
  const path = `nodes/${encodeURIComponent(nodeId)}/drain`;
  write(problem, '');
  if (state !== 'draining') {
    const done = await ask('drain-dialog', () => session.ask('POST', path, asked()));
    if (done) say(`Node ${name} is draining.`);
    return;
  }
  button.disabled = true;
  try {
    await session.ask('DELETE', path);
    say(`Node ${name} takes calls again.`);
  } catch (error) {
    write(problem, sentence(error));
  } finally {
    button.disabled = false;
  }
}

// What the dialog says.
export function asked() {
  const mode = document.querySelector('[name=mode]:checked').value;
  const minutes = $('drain-minutes').value;
  return minutes === '' ? { mode } : { mode, deadlineSeconds: Math.round(Number(minutes) * 60) };
}

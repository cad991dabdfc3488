// A chart of the last minutes, or days: one or two lines over time, drawn as SVG. Pointer and arrow keys read a moment of it.
import { h, set, svg, write } from './dom.js';
import { clockTime } from './format.js';

const HEIGHT = 132;
const LEFT = 50; // for the numbers of the axis
const TOP = 8;
const BOTTOM = 20; // for the times
const GRID_LINES = 3;
const CLOCK = { said: (time) => `at ${clockTime(time)}`, tick: (time) => clockTime(time).slice(0, 5), latest: 'now' };

export class Chart {
  // `lines`: `[{ label, field }]`, one or two. `unit(value)` is how a value reads. `atLeast`: what the axis always holds.
  // `counted`: whether its values are whole. `axis(value)` is how one reads where there is little room, `times` how a moment
  // is said, how it stands below the axis, and what the newest one is called.
  constructor({ title, unit, lines, atLeast, counted, axis = unit, times = CLOCK }) {
    Object.assign(this, { title, unit, lines, atLeast, counted, axis, times, samples: [], span: 0, cursor: null });
    this.values = lines.map(() => h('b', { class: 'number' }));
    this.time = h('span', { class: 'muted small' });
    const legend = lines.map(({ label }, line) =>
      h('li', {}, h('i', { class: `key line-${line + 1}` }), `${label} `, this.values[line]),
    );
    this.plot = svg('svg', {
      role: 'img',
      tabindex: '0',
      focusable: 'true',
      height: HEIGHT,
      keydown: (event) => this.step(event),
    });
    this.element = h(
      'figure',
      { class: 'card chart' },
      h('figcaption', {}, h('h3', {}, title), this.time),
      this.plot,
      h('ul', { class: 'legend' }, legend),
    );
    set(this.plot, 'pointermove', (event) => this.point(event));
    for (const gone of ['pointerleave', 'blur']) set(this.plot, gone, () => this.read(null));
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  update(samples, spanMs) {
    const end = samples.length ? Date.parse(samples.at(-1).at) : Date.now();
    this.span = spanMs;
    this.end = end;
    this.samples = samples
      .map((sample) => ({ ...sample, time: Date.parse(sample.at) }))
      .filter(({ time }) => time >= end - spanMs);
    this.draw();
  }

  x(time) {
    return LEFT + (1 - (this.end - time) / this.span) * (this.width - LEFT - 6);
  }

  y(value) {
    return TOP + (1 - value / this.top) * (HEIGHT - TOP - BOTTOM);
  }

  draw() {
    this.width = this.plot.clientWidth;
    if (!this.width || !this.span) return;
    const values = this.samples.flatMap((sample) => this.lines.map(({ field }) => sample[field] ?? 0));
    this.top = niceTop(Math.max(this.atLeast, ...values), this.counted);
    set(this.plot, 'viewBox', `0 0 ${this.width} ${HEIGHT}`);
    this.hair = svg('g', { class: 'hair' });
    this.plot.replaceChildren(...this.grid(), ...this.lines.flatMap((_, line) => this.curve(line)), this.hair);
    this.read(this.cursor);
  }

  grid() {
    const lines = Array.from({ length: GRID_LINES + 1 }, (_, step) => (this.top * step) / GRID_LINES);
    const times = [this.end - this.span, this.end - this.span / 2, this.end];
    return [
      ...lines.map((value) =>
        svg('line', { class: 'grid', x1: LEFT, x2: this.width - 6, y1: this.y(value), y2: this.y(value) }),
      ),
      ...lines.map((value) =>
        svg('text', { class: 'axis', x: LEFT - 6, y: this.y(value) + 4, 'text-anchor': 'end' }, this.axis(value)),
      ),
      ...times.map((time, index) =>
        svg(
          'text',
          {
            class: 'axis',
            x: this.x(time),
            y: HEIGHT - 4,
            'text-anchor': ['start', 'middle', 'end'][index],
          },
          this.times.tick(time),
        ),
      ),
    ];
  }

  // A line with gaps where there was nothing to measure, over its area where it is the first one.
  curve(line) {
    const { field } = this.lines[line];
    const pieces = [[]];
    for (const sample of this.samples) {
      if (sample[field] == null) pieces.push([]);
      else pieces.at(-1).push([this.x(sample.time), this.y(sample[field])]);
    }
    return pieces
      .filter((piece) => piece.length)
      .flatMap((piece) => {
        const path = `M${piece.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L')}`;
        const area = `${path}V${this.y(0)}H${piece[0][0].toFixed(1)}Z`;
        const stroke = svg('path', { class: `curve line-${line + 1}`, d: piece.length > 1 ? path : `${path}h0.1` });
        return line === 0 ? [svg('path', { class: 'area line-1', d: area }), stroke] : [stroke];
      });
  }

  point({ offsetX }) {
    const distance = ({ time }) => Math.abs(this.x(time) - offsetX);
    const nearest = this.samples.reduce(
      (best, sample, index) => (distance(sample) < distance(this.samples[best]) ? index : best),
      0,
    );
    this.read(this.samples.length ? this.samples[nearest].time : null);
  }

  step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !this.samples.length) return;
    event.preventDefault();
    const at = this.samples.findIndex(({ time }) => time === this.cursor);
    const next = Math.min(
      this.samples.length - 1,
      Math.max(0, (at < 0 ? this.samples.length - (by > 0 ? 1 : 0) : at) + by),
    );
    this.read(this.samples[next].time);
  }

  // What the legend says: the moment under the cursor, or the newest one.
  read(time) {
    const sample = this.samples.find((one) => one.time === time);
    this.cursor = sample ? time : null;
    const shown = sample ?? this.samples.at(-1);
    this.lines.forEach(({ field }, line) => write(this.values[line], shown ? this.unit(shown[field]) : '–'));
    write(this.time, sample ? this.times.said(time) : '');
    const x = sample && this.x(time);
    this.hair?.replaceChildren(...(sample ? [svg('line', { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM })] : []));
    set(this.plot, 'aria-label', this.summary(shown, sample));
  }

  summary(shown, chosen) {
    if (!shown) return `${this.title}: nothing measured yet`;
    const said = this.lines.map(({ label, field }) => {
      const highest = Math.max(...this.samples.map((sample) => sample[field] ?? 0));
      return `${label} ${this.unit(shown[field])}${chosen ? '' : `, at most ${this.unit(highest)}`}`;
    });
    return `${this.title} ${chosen ? this.times.said(chosen.time) : this.times.latest}: ${said.join('; ')}`;
  }
}

// A little above the value, and so that the grid's thirds of it are short numbers; of what is counted, whole ones.
function niceTop(value, counted) {
  const power = 10 ** Math.floor(Math.log10(value));
  const tops = [1.2, 1.5, 1.8, 2.4, 3, 6, 9, 12].map((step) => Number((step * power).toPrecision(3)));
  return tops.find((top) => top >= value && (!counted || top % GRID_LINES === 0));
}

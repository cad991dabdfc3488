// A number in large, with its name above and what it is of below.
import { h, write } from './dom.js';

// `value` and `more` make texts of what is shown.
export function tile({ name, value, more }) {
  const [main, below] = [h('dd', { class: 'big number' }), h('dd', { class: 'muted small' })];
  return {
    element: h('div', { class: 'card tile' }, h('dt', {}, name), main, below),
    update(sample) {
      write(main, value(sample));
      write(below, more(sample));
    },
  };
}

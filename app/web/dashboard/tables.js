// Tables made of a list of their columns. Roles stand for the tags', which a phone's layout takes away from them.
import { h, keyed, set, show, write } from './dom.js';

export class Table {
  // `columns`: `[{ name, number, value }]`, the first of which names its row. `value(item)` is a text, or parts of a cell:
  // `{ text, href, rank }`, a link where there is a `href`, a state where there is a `rank`.
  constructor({ labelledBy, columns, keyOf, empty = 'None.' }) {
    Object.assign(this, { columns, keyOf });
    const heads = columns.map(({ name, number }) =>
      h('th', { role: 'columnheader', scope: 'col', class: number ? 'number' : null }, name),
    );
    this.rows = h('tbody', { role: 'rowgroup' });
    this.table = h(
      'table',
      { role: 'table', 'aria-labelledby': labelledBy },
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, heads)),
      this.rows,
    );
    this.empty = h('p', { class: 'empty muted', hidden: true }, empty);
    this.element = h('div', { class: 'card table' }, this.table, this.empty);
  }

  update(items) {
    keyed(this.rows, items, this.keyOf, () => this.row());
    show(this.table, items.length);
    show(this.empty, !items.length);
  }

  row() {
    const cells = this.columns.map(({ name, number }, column) =>
      column === 0
        ? h('th', { role: 'rowheader', scope: 'row' })
        : h('td', { role: 'cell', class: number ? 'number' : null, 'data-label': name }),
    );
    return {
      element: h('tr', { role: 'row' }, cells),
      update: (item) => this.columns.forEach(({ value }, column) => fill(cells[column], value(item))),
    };
  }
}

function fill(cell, value) {
  const parts = Array.isArray(value) ? value : [value];
  if (cell.childElementCount !== parts.length)
    cell.replaceChildren(...parts.map(({ href, rank }) => h(href ? 'a' : 'span', { class: rank ? 'pill' : 'id' })));
  parts.forEach((part, index) => {
    const element = cell.children[index];
    write(element, part.text ?? part);
    set(element, 'href', part.href);
    set(element, 'data-rank', part.rank);
  });
}

// Names over values: `facts` is `[[name, value(of what is shown)]]`.
export class Facts {
  constructor(facts, kind = 'facts wide') {
    this.facts = facts;
    this.values = facts.map(() => h('dd', {}));
    this.element = h(
      'dl',
      { class: kind },
      facts.map(([name], fact) => h('div', {}, h('dt', {}, name), this.values[fact])),
    );
  }

  update(shown) {
    this.facts.forEach(([, value], fact) => write(this.values[fact], value(shown)));
  }
}

// Elements made and changed, and nothing parsed: ids come from users, so whatever they hold stays text.

const SVG = 'http://www.w3.org/2000/svg';

// h('td', { class: 'number', 'data-label': 'Time' }, 'text', element): attributes and children; null ones are left out.
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

// Each of these changes only what differs: a focus, a selection and a screen reader's place stay where they are.

export function write(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

export function set(element, name, value) {
  if (typeof value === 'function') element.addEventListener(name, value);
  else if (value == null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? '' : value);
}

export function show(element, visible) {
  if (element.hidden === Boolean(visible)) element.hidden = !visible;
}

const keyedRows = new WeakMap();

// The children of `parent` become those of `items`, in their order. `make(item)` gives `{ element, update(item) }`.
export function keyed(parent, items, keyOf, make) {
  const old = keyedRows.get(parent) ?? new Map();
  const rows = new Map();
  keyedRows.set(parent, rows);
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const row = old.get(key) ?? make(item);
    old.delete(key);
    rows.set(key, row);
    row.update(item);
    if (row.element === place) place = place.nextElementSibling;
    else parent.insertBefore(row.element, place);
  }
  for (const { element } of old.values()) element.remove();
}

export const $ = (id) => document.getElementById(id);

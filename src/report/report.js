// The page works without this script; with it tables sort and filter, and a slider picks a layer.
'use strict';
const all = (what, within = document) => [...within.querySelectorAll(what)];
const make = (tag, attributes = {}, ...inside) => {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...inside);
  return element;
};

// The first number of a cell, NaN where there is none.
const number = (text) => {
  const found = text.replace(/\u2212/g, '-').match(/^[<>\u2264\u2265[( ]*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)/i);
  return found ? parseFloat(found[1]) : NaN;
};

const sort = (heads, body, index) => {
  const head = heads[index];
  const down = head.getAttribute('aria-sort') === 'ascending';
  heads.forEach((other) => other.setAttribute('aria-sort', 'none'));
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const text = (row) => row.cells[index].textContent.trim();
  const missing = (row) => ['', '-', '\u2013'].includes(text(row)) || (numbers && isNaN(number(text(row))));
  const numbers = head.classList.contains('n');
  const order = (a, b) => {
    const found = numbers ? number(text(a)) - number(text(b)) : text(a).localeCompare(text(b), 'en', { numeric: true });
    // What is missing stands last either way.
    return missing(a) - missing(b) || (missing(a) ? 0 : down ? -found : found);
  };
  body.append(...[...body.rows].sort(order));
};

const sortable = (table) => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    const button = make('button', { type: 'button' }, ...head.childNodes);
    button.addEventListener('click', () => sort(heads, table.tBodies[0], index));
    head.append(button);
    head.setAttribute('aria-sort', 'none');
  });
};

const filterable = (table) => {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 6) return;
  const input = make('input', { type: 'search' });
  const count = make('output', { textContent: `${rows.length} rows` });
  input.addEventListener('input', () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row) => {
      const cells = [...row.cells].map((cell) => cell.textContent).join(' ').toLowerCase();
      row.hidden = !words.every((word) => cells.includes(word));
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = `${shown} of ${rows.length} rows`;
  });
  table.parentElement.before(make('p', { className: 'filter' }, make('label', {}, 'Filter rows: ', input), ' ', count));
};

all('table.data').forEach((table) => { sortable(table); filterable(table); });

// Layers: a line in each panel that has them along x, and the values of the figure's CSV there.
const values = JSON.parse(document.getElementById('figure-values').textContent);
const slider = document.getElementById('layer');
const figures = all('figure').filter((figure) => values.figures[figure.dataset.name]);

const mark = (figure, layer) => {
  all('rect.layer-axis', figure).forEach((axis) => {
    const [first, last] = [Number(axis.dataset.first), Number(axis.dataset.last)];
    const box = ['x', 'y', 'width', 'height'].map((name) => Number(axis.getAttribute(name)));
    const x = box[0] + ((layer - first) / (last - first)) * box[2];
    let line = axis.nextElementSibling;
    if (!line || !line.classList.contains('layer-mark')) {
      line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
      line.setAttribute('class', 'layer-mark');
      axis.after(line);
    }
    Object.entries({ x1: x, x2: x, y1: box[1], y2: box[1] + box[3] }).forEach(([k, v]) => line.setAttribute(k, v));
    line.style.display = layer < first || layer > last ? 'none' : '';
  });
};

const list = (figure, layer) => {
  const { columns, at, rows } = values.figures[figure.dataset.name];
  const own = rows.filter((row) => Number(row[at]) === layer);
  const place = figure.querySelector('.values .scroll');
  figure.querySelector('.values .layer').textContent = `layer ${layer}`;
  if (!own.length) {
    const layers = [...new Set(rows.map((row) => row[at]))].join(', ');
    place.replaceChildren(make('p', { className: 'note', textContent: `No values at this layer; the figure has ${layers}.` }));
    return;
  }
  const kept = columns.map((_, i) => i).filter((i) => i !== at && own.some((row) => row[i] !== ''));
  const numeric = (i) => own.every((row) => row[i] === '' || !isNaN(number(row[i])));
  const cell = (tag, i, text) => make(tag, { className: numeric(i) ? 'n' : '', textContent: text });
  const head = make('tr', {}, ...kept.map((i) => Object.assign(cell('th', i, columns[i].replace(/_/g, ' ')), { scope: 'col' })));
  const body = own.map((row) => make('tr', {}, ...kept.map((i) => cell('td', i, row[i]))));
  place.replaceChildren(make('table', {}, make('thead', {}, head), make('tbody', {}, ...body)));
};

const show = () => {
  const layer = values.layers[Number(slider.value)];
  document.getElementById('layer-now').textContent = `layer ${layer}`;
  slider.setAttribute('aria-valuetext', `layer ${layer}`);
  figures.forEach((figure) => { mark(figure, layer); list(figure, layer); });
};

if (slider && values.layers.length) {
  slider.max = values.layers.length - 1;
  slider.value = Math.max(0, values.layers.indexOf(values.first));
  slider.addEventListener('input', show);
  all('.bar, .values').forEach((part) => { part.hidden = false; });
  // A click into a panel picks the nearest layer.
  figures.flatMap((figure) => all('rect.layer-axis', figure)).forEach((axis) => axis.addEventListener('click', (event) => {
    const box = axis.getBoundingClientRect();
    const [first, last] = [Number(axis.dataset.first), Number(axis.dataset.last)];
    const layer = first + ((event.clientX - box.left) / box.width) * (last - first);
    const away = values.layers.map((l) => Math.abs(l - layer));
    slider.value = away.indexOf(Math.min(...away));
    show();
  }));
  show();
}

// Paper and links show what is folded.
const unfold = () => all('details:not([open])').forEach((part) => { part.open = true; part.dataset.folded = ''; });
addEventListener('beforeprint', unfold);
addEventListener('afterprint', () => all('details[data-folded]').forEach((part) => { part.open = false; delete part.dataset.folded; }));
const reveal = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) if (part.tagName === 'DETAILS') part.open = true;
  if (target) target.scrollIntoView();
};
addEventListener('hashchange', reveal);
reveal();

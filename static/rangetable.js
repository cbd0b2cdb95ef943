/** The table below the chart: what the shown range amounts to. */

import { h, idLabel, setText } from './dom.js';
import { duration, exact, hourMinute, clockTime, dayAndTime, number, sameDay } from './format.js';

/** Columns a phone has no room for. */
const WIDE_ONLY = new Set(['p50', 'p95', 'p99', 'Readings']);
const COLUMNS = ['Now', 'Min', 'Avg', 'Max', 'p50', 'p95', 'p99', 'Readings'];

export class RangeTable {
  constructor() {
    this.id = idLabel('');
    this.type = h('bdi', {});
    /** @type {Map<string, {value: HTMLElement, note: HTMLElement}>} */
    this.cells = new Map();
    const cells = COLUMNS.map((name) => {
      const role = { 'data-role': `range-${name.toLowerCase()}` };
      const value = h(name === 'Now' ? 'b' : 'span', role);
      const note = h('small', {});
      this.cells.set(name, { value, note });
      return h('td', { class: WIDE_ONLY.has(name) ? 'wide' : null }, value, note);
    });
    const heads = COLUMNS.map((name) =>
      h('th', { scope: 'col', class: WIDE_ONLY.has(name) ? 'wide' : null }, name));
    const swatch = h('i', { class: 'swatch', 'aria-hidden': 'true' });
    this.element = h('section', { class: 'panel' },
      h('table', { class: 'range-table' },
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'In this range'), ...heads)),
        h('tbody', {}, h('tr', {},
          h('th', { scope: 'row' }, h('span', { class: 'named' }, swatch,
            h('span', {}, this.id.element, h('small', {}, this.type)))),
          ...cells))));
  }

  /**
   * @param {import('./catalogue.js').Series} series
   * @param {import('./statistics.js').Summary | null} summary
   * @param {{from: number, to: number}} range
   */
  draw(series, summary, range) {
    this.id.set(series.id);
    setText(this.type, series.type);
    /** @param {number | null | undefined} v @param {number} [more] decimals */
    const text = (v, more = 0) => (v == null ? '–' : number(v, series.decimals + more));
    const when = momentIn(range);
    const finer = summary?.onOff ? 2 : 0;
    this.put('Now', text(series.last), series.unit);
    this.put('Min', text(summary?.min), summary ? when(summary.minAt) : '');
    this.put('Avg', text(summary?.avg, finer), '');
    this.put('Max', text(summary?.max), summary ? when(summary.maxAt) : '');
    this.put('p50', text(summary?.p50), '');
    this.put('p95', text(summary?.p95), '');
    this.put('p99', text(summary?.p99), '');
    this.put('Readings', summary ? exact(summary.count) : '0', summary ? gapsOf(summary) : '');
  }

  /** @param {string} name @param {string} value @param {string} note */
  put(name, value, note) {
    const cell = this.cells.get(name);
    if (!cell) return;
    setText(cell.value, value);
    setText(cell.note, note);
  }
}

/** @param {import('./statistics.js').Summary} summary */
function gapsOf({ gaps, gapMs }) {
  if (gaps === 0) return 'no gap';
  return `${exact(gaps)} gap${gaps === 1 ? '' : 's'}, ${duration(gapMs / 1000)}`;
}

/**
 * How a moment of the range is said: as short as it is clear.
 * @param {{from: number, to: number}} range
 * @returns {(t: number) => string}
 */
function momentIn({ from, to }) {
  if (to - from <= 3_600_000) return clockTime;
  if (to - from <= 86_400_000) return hourMinute;
  return (t) => (sameDay(t, to) ? hourMinute(t) : dayAndTime(t));
}

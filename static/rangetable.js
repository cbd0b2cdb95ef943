/** The table below the chart: what the shown range amounts to. */

import { h, idLabel, setText } from './dom.js';
import {
  duration, exact, hourMinute, clockTime, dayOf, dayOfYear, number, sameDay,
} from './format.js';
import { SHOWN } from './percentiles.js';

const PERCENTILES = SHOWN.map((percent) => `p${percent}`);
/** Columns a phone has no room for. */
const WIDE_ONLY = new Set([...PERCENTILES, 'Readings']);
const COLUMNS = ['Now', 'Min', 'Avg', 'Max', ...PERCENTILES, 'Readings'];

/**
 * @typedef {object} Amounts
 * @property {import('./statistics.js').Summary | null} extremes null: nothing was measured
 * @property {import('./statistics.js').Summary | null} sums for mean, count and gaps; null: not
 *   known
 * @property {number | null} window the windows of which the sums are, in ms; null: of readings
 * @property {import('./percentiles.js').Percentiles} percentiles
 */

export class RangeTable {
  constructor() {
    this.id = idLabel('');
    this.type = h('bdi', {});
    /** @type {Map<string, {value: HTMLElement, note: HTMLElement, cell: HTMLElement}>} */
    this.cells = new Map();
    const cells = COLUMNS.map((name) => {
      const role = { 'data-role': `range-${name.toLowerCase()}` };
      const value = h(name === 'Now' ? 'b' : 'span', role);
      const note = h('small', {});
      const cell = h('td', { class: WIDE_ONLY.has(name) ? 'wide' : null }, value, note);
      this.cells.set(name, { value, note, cell });
      return cell;
    });
    this.beyond = h('td', {
      class: 'wide dim', colspan: PERCENTILES.length, hidden: true, 'data-role': 'range-beyond',
    }, 'not kept that long');
    cells.splice(COLUMNS.indexOf('Readings'), 0, this.beyond);
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
   * @param {Amounts} amounts
   * @param {import('./ranges.js').Span} range
   */
  draw(series, { extremes, sums, window, percentiles }, range) {
    this.id.set(series.id);
    setText(this.type, series.type);
    /** @param {number | null | undefined} v @param {number} [more] decimals */
    const text = (v, more = 0) => (v == null ? '–' : number(v, series.decimals + more));
    const when = momentIn(range);
    const finer = finerOf(series, extremes);
    this.put('Now', text(series.last), series.unit);
    this.put('Min', text(extremes?.min), extremes ? when(extremes.minAt) : '');
    this.put('Avg', text(sums?.avg, finer), '');
    this.put('Max', text(extremes?.max), extremes ? when(extremes.maxAt) : '');
    // Percentiles lie between two readings at times, but hardly between off and on.
    const between = extremes?.onOff ? 0 : finer;
    this.drawPercentiles(extremes ? percentiles : null, (v) => text(v, between));
    const count = sums ? exact(sums.count) : extremes ? '–' : '0';
    this.put('Readings', count, sums ? gapsOf(sums, window) : '');
  }

  /**
   * @param {import('./percentiles.js').Percentiles} percentiles
   * @param {(v: number | undefined) => string} text
   */
  drawPercentiles(percentiles, text) {
    const beyond = percentiles === 'beyond';
    this.beyond.hidden = !beyond;
    for (const percent of SHOWN) {
      const known = beyond ? undefined : percentiles?.get(percent);
      this.put(`p${percent}`, text(known), '');
      const cell = this.cells.get(`p${percent}`)?.cell;
      if (cell) cell.hidden = beyond;
    }
  }

  /** @param {string} name @param {string} value @param {string} note */
  put(name, value, note) {
    const cell = this.cells.get(name);
    if (!cell) return;
    setText(cell.value, value);
    setText(cell.note, note);
  }
}

/**
 * Decimals more than a value that the mean of a range needs.
 * @param {import('./catalogue.js').Series} series
 * @param {import('./statistics.js').Summary | null} extremes
 */
function finerOf(series, extremes) {
  if (extremes && extremes.min === extremes.max) return 0;
  return extremes?.onOff ? 2 : series.meanDecimals;
}

/** @param {import('./statistics.js').Summary} summary @param {number | null} window in ms */
function gapsOf({ gaps, gapMs }, window) {
  if (gaps > 0) return `${exact(gaps)} gap${gaps === 1 ? '' : 's'}, ${duration(gapMs / 1000)}`;
  return window === null ? 'no gap' : `in ${duration(window / 1000)} windows`;
}

const HOUR_MS = 3_600_000;

/**
 * How a moment of the range is said: as short as it is clear.
 * @param {import('./ranges.js').Span} range
 * @returns {(t: number) => string}
 */
function momentIn({ from, to }) {
  if (to - from <= HOUR_MS) return clockTime;
  if (to - from <= 24 * HOUR_MS) return hourMinute;
  if (to - from > 31 * 24 * HOUR_MS) return dayOfYear;
  // On a phone a line may end behind the day, but not within it.
  const day = (/** @type {number} */ t) => dayOf(t).replaceAll(' ', '\u00a0');
  return (t) => (sameDay(t, to) ? hourMinute(t) : `${day(t)}, ${hourMinute(t)}`);
}

/**
 * The staff: how high now stands between the lowest and the highest since the first reading.
 * The tick is the average. Every instrument on the page is this river gauge.
 */

import { h, setText } from './dom.js';
import { number } from './format.js';

export class Staff {
  constructor() {
    this.level = h('i');
    this.average = h('u');
    this.max = h('dd', { 'data-role': 'max' });
    this.avg = h('dd', { 'data-role': 'avg' });
    this.min = h('dd', { 'data-role': 'min' });
    this.element = h('div', { class: 'staff' },
      h('div', { class: 'tube', 'aria-hidden': 'true' }, this.level, this.average),
      h('dl', {},
        h('div', {}, h('dt', {}, 'max'), this.max),
        h('div', {}, h('dt', {}, 'avg'), this.avg),
        h('div', {}, h('dt', {}, 'min'), this.min)));
  }

  /** @param {import('./catalogue.js').Series} series */
  draw(series) {
    const { min, max, avg, last } = series;
    const decimals = staffDecimals(series);
    setText(this.max, max === null ? '' : number(max, decimals));
    setText(this.avg, avg === null ? '' : number(avg, decimals + series.meanDecimals));
    setText(this.min, min === null ? '' : number(min, decimals));
    /** @param {number | null} value */
    const height = (value) => {
      if (value === null || min === null || max === null) return 0;
      // A sensor that has only ever shown one value stands in the middle of nothing.
      if (max === min) return 50;
      return Math.max(0, Math.min(1, (value - min) / (max - min))) * 100;
    };
    this.level.style.height = `${height(last).toFixed(1)}%`;
    this.average.style.bottom = `${height(avg).toFixed(1)}%`;
    this.average.hidden = avg === null;
  }
}

/** There is no room for decimals from 1,000. @param {import('./catalogue.js').Series} series */
function staffDecimals(series) {
  const largest = Math.max(Math.abs(series.max ?? 0), Math.abs(series.min ?? 0));
  return largest >= 1000 ? 0 : Math.min(series.decimals, 2);
}

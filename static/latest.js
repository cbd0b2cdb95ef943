/** What is known of one series beyond its readings: the latest attributes, and all time. */

import { h, setText } from './dom.js';
import { age, exact, momentToMs, number, rate, withUnit } from './format.js';
import { glyph, setGlyph } from './icons.js';

/** A list of names and values; a value that is absent takes its name with it. */
class Facts {
  /** @param {string[]} names */
  constructor(names) {
    /** @type {Map<string, {name: HTMLElement, value: HTMLElement}>} */
    this.rows = new Map();
    this.element = h('dl', { class: 'facts' });
    for (const name of names) {
      const row = { name: h('dt', {}, name), value: h('dd', { dir: 'auto' }) };
      this.rows.set(name, row);
      this.element.append(row.name, row.value);
    }
  }

  /** @param {string} name @param {string} value '' hides the row */
  put(name, value) {
    const row = this.rows.get(name);
    if (!row) return;
    row.name.hidden = row.value.hidden = value === '';
    setText(row.value, value);
  }
}

export class Latest {
  constructor() {
    this.id = h('bdi', { class: 'dim' });
    this.shape = glyph('unknown');
    this.status = h('span');
    this.facts = new Facts(['Value', 'Location', 'Measured']);
    this.metadata = h('pre', { class: 'code', 'data-role': 'metadata', dir: 'auto' });
    const status = h('dl', { class: 'facts' }, h('dt', {}, 'Status'),
      h('dd', { class: 'status' }, this.shape, this.status));
    this.element = h('section', { class: 'panel' },
      h('div', { class: 'panel-head' }, h('h2', {}, 'Latest reading'), this.id),
      h('div', { class: 'panel-body' }, status, this.facts.element, this.metadata));
    /** @type {object | null} */
    this.shown = null;
  }

  /**
   * @param {import('./catalogue.js').Series} series
   * @param {import('./card.js').Moment} moment
   */
  draw(series, { now, connected }) {
    const said = series.status ?? 'online';
    const status = said === 'online' && !connected ? 'unknown' : said;
    setGlyph(this.shape, status);
    const often = series.rate === null ? '' : `, ${rate(series.rate)}`;
    setText(this.status, status + (status === 'online' ? often : ''));
    setText(this.id, series.type);
    const last = series.last === null ? '' : number(series.last, series.decimals);
    const old = series.lastAt === null ? '' : age(Math.max(0, now - series.lastAt) / 1000);
    const ago = old === 'now' ? '' : `, ${old} ago`;
    this.facts.put('Value', withUnit(last, last === '' ? '' : series.unit));
    this.facts.put('Location', series.location ?? '');
    const measured = series.lastAt === null ? '' : momentToMs(series.lastAt, now) + ago;
    this.facts.put('Measured', measured);
    if (series.metadata === this.shown) return;
    this.shown = series.metadata;
    const nothing = Object.keys(series.metadata).length === 0;
    setText(this.metadata, nothing ? 'no metadata' : JSON.stringify(series.metadata, null, 2));
    this.metadata.classList.toggle('dim', nothing);
  }
}

export class AllTime {
  constructor() {
    this.facts = new Facts(['Readings', 'Min', 'Avg', 'Max']);
    this.element = h('section', { class: 'panel' },
      h('div', { class: 'panel-head' }, h('h2', {}, 'Since the first reading')),
      h('div', { class: 'panel-body' }, this.facts.element));
  }

  /**
   * @param {import('./catalogue.js').Series} series
   * @param {number | null} count its readings; null: not known
   */
  draw(series, count) {
    /** @param {number | null} v @param {number} [more] decimals */
    const text = (v, more = 0) =>
      v === null ? '' : withUnit(number(v, series.decimals + more), series.unit);
    const finer = series.meanDecimals;
    const spread = series.stddev === null
      ? '' : `, σ ${number(series.stddev, Math.min(4, series.decimals + Math.max(1, finer)))}`;
    this.facts.put('Readings', count === null ? '–' : exact(count));
    this.facts.put('Min', text(series.min));
    this.facts.put('Avg', series.avg === null ? '' : text(series.avg, finer) + spread);
    this.facts.put('Max', text(series.max));
  }
}

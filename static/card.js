/** One series at a glance. Built once, then only what differs is changed. */

import { h, idLabel, setAttribute, setText } from './dom.js';
import { age, compact, exact, number, rate } from './format.js';
import { glyph, setGlyph } from './icons.js';
import { Sparkline } from './sparkline.js';
import { Staff } from './staff.js';

/** Values longer than this are set smaller. */
const LONG_VALUE = 6;
/** A reading slower than this washes its value, so that the eye finds what has changed. */
const WASH_PER_SECOND = 0.5;

/**
 * @typedef {object} Moment
 * @property {number} now ms since 1970 on the server's clock
 * @property {boolean} connected
 */

export class Card {
  /** @param {import('./catalogue.js').Series} series */
  constructor(series) {
    this.series = series;
    this.shape = glyph('online');
    this.age = h('span', { class: 'age', 'data-role': 'age' });
    this.sub = h('bdi', {});
    this.value = h('b', { 'data-role': 'value' });
    this.unit = h('bdi', { class: 'unit', 'data-role': 'unit' });
    this.valueLine = h('p', { class: 'value' }, this.value, this.unit);
    this.spark = new Sparkline();
    this.staff = new Staff();
    this.count = h('span', { 'data-role': 'count' });
    this.rate = h('span', { 'data-role': 'rate' });
    const name = h('h3', {}, idLabel(series.id).element);
    this.element = h('article', {
      class: 'card', tabindex: -1, 'data-sensor': series.id, 'data-type': series.type,
    },
      h('div', { class: 'head' }, this.shape, name, this.age),
      h('p', { class: 'sub' }, this.sub),
      this.valueLine, this.spark.element, this.staff.element,
      h('p', { class: 'foot' }, this.count, this.rate));
    /** What was last drawn, to know when something is new. */
    this.shownAt = NaN;
    this.sparkAt = 0;
  }

  /**
   * Draws everything.
   * @param {Moment} moment
   * @param {string} sub the second line: what the group does not say already
   */
  draw(moment, sub) {
    const { series } = this;
    setText(this.sub, sub);
    const text = series.last === null ? '–' : number(series.last, series.decimals);
    setText(this.value, text);
    setText(this.unit, series.unit);
    this.valueLine.classList.toggle('long', text.length > LONG_VALUE);
    this.staff.draw(series);
    this.drawCount(moment);
    this.drawSpark(moment);
    this.tick(moment);
    if (series.lastAt !== this.shownAt) {
      if (!Number.isNaN(this.shownAt) && (series.rate ?? 0) < WASH_PER_SECOND) this.wash();
      this.shownAt = series.lastAt ?? NaN;
    }
  }

  /** @param {Moment} moment */
  drawCount(moment) {
    const { count, rate: usual } = this.series;
    // How often it sent says nothing of one that does not send.
    const perSecond = this.status(moment) === 'offline' ? null : usual;
    setText(this.count, count === null ? '' : `${compact(count)} reading${count === 1 ? '' : 's'}`);
    setAttribute(this.count, 'title', count === null ? null : exact(count));
    setText(this.rate, perSecond === null ? '' : rate(perSecond));
  }

  /** @param {Moment} moment */
  drawSpark(moment) {
    if (this.spark.width === 0) this.spark.measure();
    this.spark.draw(this.series, { now: moment.now, quiet: this.status(moment) !== 'online' });
    this.sparkAt = moment.now;
  }

  /**
   * What ages by itself: the age, the state, and the sparkline when its window has moved.
   * @param {Moment} moment
   */
  tick(moment) {
    const { lastAt } = this.series;
    const status = this.status(moment);
    const old = lastAt === null ? '' : age(Math.max(0, moment.now - lastAt) / 1000);
    setText(this.age, status === 'online' || status === 'unknown' ? old : `${status} · ${old}`);
    if (this.element.dataset.status !== status) {
      this.element.dataset.status = status;
      setGlyph(this.shape, status);
      this.drawCount(moment);
      this.drawSpark(moment);
    } else if (moment.now - this.sparkAt >= this.spark.pixelMs) {
      this.drawSpark(moment);
    }
  }

  /** @param {Moment} moment */
  status(moment) {
    const said = this.series.status ?? 'online';
    return said === 'online' && !moment.connected ? 'unknown' : said;
  }

  wash() {
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    const wet = { backgroundColor: 'var(--water-soft)', boxShadow: '0 0 0 4px var(--water-soft)' };
    this.value.animate([wet, {}], { duration: 400, easing: 'ease-out' });
  }

  /** For a screen reader, when focus comes: everything the card shows, in one sentence. */
  describe() {
    const { id, type, unit } = this.series;
    const value = `${this.value.textContent} ${unit}`.trim();
    const said = [id, type, value, this.element.dataset.status];
    setAttribute(this.element, 'aria-label', said.join(', '));
  }
}

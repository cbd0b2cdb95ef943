/**
 * One sensor over time: its history from the server, continued live without a seam, with what the
 * range amounts to. The line of thought of a reading: `take` (held while history is on its way,
 * dropped when the history has it already) → columns → `thin` → chart.
 */

import { Chart } from './chart.js';
import { AllTime, Latest } from './latest.js';
import { DetailHead, Over, rangeTitle, Readout } from './detailparts.js';
import { h, setText } from './dom.js';
import { duration, moment as momentText } from './format.js';
import { perFrame } from './frames.js';
import { readPast, READINGS_MOST } from './past.js';
import { covers } from './position.js';
import { rangeFor, rangeNamed, youngSpan } from './ranges.js';
import { RangeTable } from './rangetable.js';
import { Columns, thin } from './series.js';
import { summarise } from './statistics.js';
import { windowed, windowFor } from './windows.js';

/** @typedef {import('./events.js').Reading} Reading */

/** Live readings kept while history is on its way; a slow answer must not cost memory. */
const HELD_MOST = 20_000;
/** So long the first history waits for the first connection: a guess, as patience is. */
const CONNECT_MS_MOST = 1500;
/** Beyond the newest reading the range has this much air, for the live edge. */
const AIR = 0.012;
/** Drawing may take this share of the time, so that a million readings do not block the page. */
const DRAW_SHARE = 0.1;
/** Statistics sort all readings of the range, so they are renewed more rarely than the line. */
const SUMMARY_SHARE = 0.02;
const SUMMARY_MS_LEAST = 1000;

/**
 * @typedef {object} Needs
 * @property {import('./catalogue.js').Catalogue} catalogue
 * @property {() => import('./card.js').Moment} moment
 * @property {() => void} back
 * @property {(range: string) => void} chooseRange
 * @property {(on: boolean) => void} busy
 * @property {() => boolean} connecting the first connection is on its way
 */

export class Detail {
  /** @param {Needs} needs */
  constructor(needs) {
    this.needs = needs;
    this.head = new DetailHead({ back: needs.back, range: needs.chooseRange });
    this.title = h('h2');
    this.whole = h('button', { class: 'button edge', type: 'button', hidden: true,
      click: () => this.zoomTo(null) }, 'Whole range');
    this.caption = h('span');
    this.bandCaption = h('span');
    this.sinceCaption = h('span');
    this.readout = new Readout();
    this.over = new Over();
    this.plot = h('div', { class: 'plot', role: 'img', 'data-role': 'chart' });
    this.table = new RangeTable();
    this.latest = new Latest();
    this.allTime = new AllTime();
    this.element = this.build();
    this.chart = new Chart(this.plot, {
      zoom: (from, to) => this.zoomTo({ from, to }),
      whole: () => this.zoomTo(null),
      cross: (at) => this.readout.draw(at, this.series, {
        width: this.plot.clientWidth, window: this.window,
      }),
    });
    this.shown = { id: '', type: '', range: '' };
    this.columns = new Columns(READINGS_MOST);
    /** @type {Map<number, import('./position.js').Position>} */
    this.token = new Map();
    /** Live readings that wait for the history; null: it is there. @type {Reading[] | null} */
    this.held = null;
    /** @type {AbortController | null} */
    this.asking = null;
    /** @type {{from: number, to: number} | null} */
    this.zoom = null;
    /** Length of the windows on show, in ms; null: readings are. @type {number | null} */
    this.window = null;
    /** When the very first reading was, if it is in the range. @type {number | null} */
    this.firstAt = null;
    this.failed = false;
    this.drawnFor = 0;
    this.drawMs = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.later = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.patience = undefined;
    this.summaryAt = 0;
    this.summaryMs = 0;
    this.ask = perFrame(() => this.draw());
    new ResizeObserver(() => this.ask()).observe(this.plot);
  }

  build() {
    const chart = h('section', { class: 'panel' },
      h('div', { class: 'panel-head' }, this.title, h('span', { class: 'push' }), this.whole),
      h('div', { class: 'plot-frame' }, this.plot, this.readout.element, this.over.element),
      h('div', { class: 'caption' }, this.caption, this.bandCaption, this.sinceCaption,
        h('span', { class: 'wide' }, 'Drag to zoom, double-click to reset')));
    return h('div', { class: 'detail', hidden: true }, this.head.element,
      h('div', { class: 'detail-grid page' },
        h('div', { class: 'stack' }, chart, this.table.element),
        h('div', { class: 'stack' }, this.latest.element, this.allTime.element)));
  }

  /** The series on show; null until the server has told of it. */
  get series() {
    return this.needs.catalogue.find(this.shown.id, this.shown.type);
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /** @param {{sensor: string, type: string, range: string}} route */
  open(route) {
    const { catalogue } = this.needs;
    const type = route.type || catalogue.allOf(route.sensor)[0]?.type || '';
    const next = { id: route.sensor, type, range: rangeNamed(route.range).name };
    this.element.hidden = false;
    if (JSON.stringify(next) === JSON.stringify(this.shown)) return;
    const same = next.id === this.shown.id && next.type === this.shown.type;
    this.shown = next;
    this.zoom = null;
    if (!same) this.columns = new Columns(READINGS_MOST);
    this.held = [];
    // History that is older than the live connection would leave a seam and be fetched again.
    const patience = this.needs.connecting() ? CONNECT_MS_MOST : 0;
    clearTimeout(this.patience);
    if (patience > 0) this.patience = setTimeout(() => this.load(), patience);
    else this.load();
  }

  close() {
    this.element.hidden = true;
    clearTimeout(this.patience);
    this.asking?.abort();
    this.needs.busy(false);
    this.shown = { id: '', type: '', range: '' };
    this.columns = new Columns(16);
  }

  /** Fetches the range anew; what is on the screen stays until the answer is there. */
  async load() {
    clearTimeout(this.patience);
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    this.held = [];
    this.failed = false;
    this.over.hide();
    this.summaryAt = 0;
    this.ask();
    if (this.shown.type === '') return;
    this.needs.busy(true);
    try {
      const { hours } = rangeNamed(this.shown.range);
      const past = await readPast(this.shown, hours, asking.signal);
      if (this.asking !== asking) return;
      this.columns = past.columns;
      this.token = past.token;
      const held = this.held ?? [];
      this.held = null;
      for (const one of held) {
        if (!past.paged || !this.columns.has(one.at, one.value)) this.take(one);
      }
      this.needs.busy(false);
      this.ask();
    } catch (error) {
      if (this.asking !== asking || asking.signal.aborted) return;
      this.fail(error);
    }
  }

  /** @param {unknown} error */
  fail(error) {
    this.needs.busy(false);
    // Live goes on: what was held is all there is to show.
    const held = this.held ?? [];
    this.held = null;
    this.token = new Map();
    for (const one of held) this.take(one);
    this.failed = true;
    const said = error instanceof Error ? error.message : String(error);
    const again = { label: 'Try again', act: () => void this.load() };
    this.over.say('The history could not be fetched', said, again);
  }

  /** @param {Reading} reading any series' */
  take(reading) {
    if (reading.id !== this.shown.id || reading.type !== this.shown.type) return;
    if (this.held) {
      if (this.held.length < HELD_MOST) this.held.push(reading);
      return;
    }
    if (covers(this.token, reading.position)) return;
    this.columns.push(reading.at, reading.value);
    this.ask();
  }

  /** After a reconnection, or when the server says that something was lost. */
  resume() {
    if (this.isOpen && this.shown.id !== '') this.load();
  }

  /** @param {{from: number, to: number} | null} zoom */
  zoomTo(zoom) {
    this.zoom = zoom;
    this.summaryAt = 0;
    this.drawMs = 0;
    this.ask();
  }

  /** @returns {boolean} whether there was a zoom to leave */
  leaveZoom() {
    const zoomed = this.zoom !== null;
    if (zoomed) this.zoomTo(null);
    return zoomed;
  }

  /** Once a second: the time axis goes on, ages tick. */
  tick() {
    if (!this.isOpen) return;
    if (this.shown.type === '' && this.needs.catalogue.allOf(this.shown.id).length > 0) {
      this.open({ sensor: this.shown.id, type: '', range: this.shown.range });
    }
    this.ask();
  }

  draw() {
    if (!this.isOpen || this.shown.id === '') return;
    const moment = this.needs.moment();
    const { id, range } = this.shown;
    this.head.draw(this.shown, this.needs.catalogue.allOf(id).map((one) => one.type), range);
    const { series } = this;
    if (series) {
      this.latest.draw(series, moment);
      this.allTime.draw(series);
    }
    if (this.shown.type === '') {
      this.over.say('No reading of this sensor has come yet', 'This page changes by itself.');
      return;
    }
    const began = performance.now();
    const rest = this.drawnFor + this.drawMs / DRAW_SHARE - began;
    if (rest > 0) {
      clearTimeout(this.later);
      this.later = setTimeout(this.ask, rest);
      return;
    }
    this.drawChart(moment);
    this.drawnFor = began;
    this.drawMs = performance.now() - began;
  }

  /** @param {import('./card.js').Moment} moment */
  drawChart({ now, connected }) {
    const span = this.spanAt(now);
    const from = this.zoom?.from ?? now - span;
    const to = this.zoom?.to ?? now + span * AIR;
    const live = to >= now && connected;
    const { pixels } = this.chart;
    const { series, columns } = this;
    const steps = series?.isOnOff ?? false;
    const all = columns.indexAfter(to) - columns.indexAfter(from - 1);
    this.window = steps ? null : windowFor(to - from, pixels, all);
    const drawn = this.window === null ? thin(columns, { from, to, pixels })
      : windowed(columns, { from, to, length: this.window });
    const last = columns.length === 0 ? null
      : { t: columns.newest, v: /** @type {number} */ (columns.v[columns.to - 1]) };
    this.summarise(from, Math.min(to, now));
    this.chart.show({
      ...drawn, from, to,
      now: to >= now ? now : null,
      last,
      unit: series?.unit ?? '',
      decimals: series?.decimals ?? 1,
      steps,
    });
    setText(this.title, rangeTitle(from, Math.min(to, now), live && to >= now));
    this.whole.hidden = this.zoom === null;
    this.describeLine(now);
    if (this.held !== null || this.failed) return;
    if (all === 0) this.sayNothing(now);
    else this.over.hide();
  }

  /**
   * The chosen range, or less when the first reading of all is in it.
   * @param {number} now
   */
  spanAt(now) {
    const span = rangeNamed(this.shown.range).hours * 3_600_000;
    const { columns, series } = this;
    const whole = this.held === null && columns.length > 0 && series?.count != null
      && series.count <= columns.length;
    this.firstAt = whole ? /** @type {number} */ (columns.t[columns.from]) : null;
    return this.firstAt === null ? span : youngSpan(now - this.firstAt, span);
  }

  /** @param {number} now */
  describeLine(now) {
    const length = this.window === null ? '' : duration(this.window / 1000);
    const since = this.firstAt === null ? '' : `First reading: ${momentText(this.firstAt, now)}`;
    setText(this.sinceCaption, since);
    const line = length === '' ? 'every reading' : `average of ${length} windows`;
    setText(this.caption, `Line: ${line}`);
    setText(this.bandCaption, length === '' ? '' : 'Band: lowest to highest in the window');
  }

  /** @param {number} from @param {number} to */
  summarise(from, to) {
    const began = performance.now();
    const wait = Math.max(SUMMARY_MS_LEAST, this.summaryMs / SUMMARY_SHARE);
    if (!this.series || (this.summaryAt !== 0 && began - this.summaryAt < wait)) return;
    const summary = summarise(this.columns, from, to);
    this.table.draw(this.series, summary, { from, to });
    const what = `${this.shown.id}, ${this.shown.type}, ${this.title.textContent}`;
    const { unit } = this.series;
    const sum = summary ? `, from ${summary.min} to ${summary.max} ${unit}` : ', nothing';
    this.plot.setAttribute('aria-label', what + sum);
    this.summaryAt = began;
    this.summaryMs = performance.now() - began;
  }

  /** @param {number} now */
  sayNothing(now) {
    const lastAt = this.series?.lastAt ?? null;
    const { hours } = rangeNamed(this.shown.range);
    const title = `Nothing was measured in the last ${duration(hours * 3600)}`;
    if (this.zoom || lastAt === null) {
      this.over.say(this.zoom ? 'Nothing was measured here' : title, '');
      return;
    }
    const reach = rangeFor(now - lastAt);
    const way = reach && reach.hours > hours
      ? { label: `Show ${reach.label}`, act: () => this.needs.chooseRange(reach.name) } : undefined;
    this.over.say(title, `The last reading is of ${momentText(lastAt, now)}.`, way);
  }

  /** Other colours or another zone. */
  rebuild() {
    if (!this.isOpen) return;
    this.chart.rebuild();
    this.summaryAt = 0;
    this.ask();
  }
}

/**
 * The view of one sensor: its timeline as a chart with words around it, what the range amounts to,
 * the latest reading. What is asked of the server and when is for `timeline.js`.
 */

import { Chart } from './chart.js';
import { now } from './clock.js';
import { Refused } from './api.js';
import { CsvLink } from './csv.js';
import { Caption, DetailHead, Over, rangeTitle, Readout } from './detailparts.js';
import { h, setAttribute, setText } from './dom.js';
import { duration, moment as momentText } from './format.js';
import { perFrame } from './frames.js';
import { AllTime, Latest } from './latest.js';
import { rangeFor, rangeNamed, zoomOf } from './ranges.js';
import { RangeTable } from './rangetable.js';
import { readRoute } from './route.js';
import { openSilence, summarise } from './statistics.js';
import { Timeline } from './timeline.js';
import { endAt } from './windows.js';

/** @typedef {import('./ranges.js').Span} Span */

/** So long the first history waits for the first connection: a guess, as patience is. */
const CONNECT_MS_MOST = 1500;
/** Beyond the newest reading the range has this much air, for the live edge. */
const AIR = 0.012;
/** Drawing may take this share of the time, so that a full chart does not block the page. */
const DRAW_SHARE = 0.1;
/** A width that has stayed for so long is worth a question. */
const WIDTH_MS = 300;
/** A nearer look would only find one reading. */
const ZOOM_MS_LEAST = 1000;

/**
 * @typedef {object} Needs
 * @property {import('./catalogue.js').Catalogue} catalogue
 * @property {() => import('./card.js').Moment} moment
 * @property {() => void} back
 * @property {(range: string) => void} chooseRange
 * @property {(zoom: Span | null) => void} zoom
 * @property {(on: boolean) => void} busy
 * @property {() => boolean} connecting the first connection is on its way
 * @property {() => boolean} listed the catalogue has every series there is
 */

export class Detail {
  /** @param {Needs} needs */
  constructor(needs) {
    this.needs = needs;
    this.head = new DetailHead({ back: needs.back, range: needs.chooseRange });
    this.title = h('h2');
    this.whole = h('button', { class: 'button edge', type: 'button', hidden: true,
      click: () => needs.zoom(null) }, 'Whole range');
    this.csv = new CsvLink(async () => {
      await this.timeline.settle();
      this.csv.draw(this.shown, this.timeline.stretch);
    });
    this.caption = new Caption();
    this.readout = new Readout();
    this.over = new Over();
    this.plot = h('div', { class: 'plot', role: 'img', 'data-role': 'chart' });
    this.table = new RangeTable();
    this.latest = new Latest();
    this.allTime = new AllTime();
    this.element = this.build();
    this.chart = new Chart(this.plot, {
      zoom: (from, to) => this.zoomTo(from, to),
      whole: () => this.leaveZoom(),
      cross: (at) => this.readout.draw(at, this.series, {
        width: this.plot.clientWidth, window: this.timeline.stretch.window,
      }),
    });
    this.timeline = new Timeline({
      pixels: () => this.chart.pixels,
      series: ({ id, type }) => needs.catalogue.find(id, type),
      busy: needs.busy,
      changed: () => this.ask(),
    });
    this.drawnFor = 0;
    this.drawMs = 0;
    /** @type {Record<'draw' | 'patience' | 'width', ReturnType<typeof setTimeout> | undefined>} */
    this.timers = { draw: undefined, patience: undefined, width: undefined };
    this.ask = perFrame(() => this.draw());
    new ResizeObserver(() => this.onSize()).observe(this.plot);
  }

  build() {
    const chart = h('section', { class: 'panel' },
      h('div', { class: 'panel-head' }, this.title, h('span', { class: 'push' }), this.whole,
        this.csv.element),
      h('div', { class: 'plot-frame' }, this.plot, this.readout.element, this.over.element),
      this.caption.element);
    return h('div', { class: 'detail', hidden: true }, this.head.element,
      h('div', { class: 'detail-grid page' },
        h('div', { class: 'stack' }, chart, this.table.element),
        h('div', { class: 'stack' }, this.latest.element, this.allTime.element)));
  }

  get shown() {
    return this.timeline.subject;
  }

  /** The series on show; null until the server has told of it. */
  get series() {
    return this.needs.catalogue.find(this.shown.id, this.shown.type);
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /** @param {import('./route.js').Route} route */
  open(route) {
    const { catalogue } = this.needs;
    const type = route.type || catalogue.allOf(route.sensor)[0]?.type || '';
    const next = { id: route.sensor, type, range: rangeNamed(route.range).name };
    this.element.hidden = false;
    if (!this.timeline.turnTo(next, zoomOf(route))) return;
    this.drawMs = 0;
    this.ask();
    // History that is older than the live connection would leave a seam and be fetched again.
    clearTimeout(this.timers.patience);
    const patience = this.needs.connecting() ? CONNECT_MS_MOST : 0;
    if (patience > 0) this.timers.patience = setTimeout(() => this.load(), patience);
    else this.load();
  }

  close() {
    this.element.hidden = true;
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    this.timeline.leave();
  }

  load() {
    clearTimeout(this.timers.patience);
    void this.timeline.load();
  }

  /** @param {import('./events.js').Reading} reading any series' */
  take(reading) {
    this.timeline.take(reading);
  }

  /** Live readings come from here on: what was missed is fetched. */
  join() {
    this.timeline.join();
    if (this.isOpen && this.timeline.wants) this.load();
  }

  /** @param {number} from @param {number} to */
  zoomTo(from, to) {
    const air = Math.max(0, ZOOM_MS_LEAST - (to - from)) / 2;
    this.needs.zoom({ from: Math.floor(from - air), to: Math.ceil(to + air) });
  }

  /** @returns {boolean} whether there was a zoom to leave */
  leaveZoom() {
    if (this.timeline.zoom === null) return false;
    this.needs.zoom(null);
    return true;
  }

  onSize() {
    this.ask();
    clearTimeout(this.timers.width);
    this.timers.width = setTimeout(() => {
      if (this.isOpen && this.timeline.isMisfit) void this.timeline.renew();
    }, WIDTH_MS);
  }

  /** Once a second: the time axis goes on, ages tick. */
  tick() {
    if (!this.isOpen) return;
    if (this.shown.type === '' && this.needs.catalogue.allOf(this.shown.id).length > 0) {
      this.open(readRoute());
    }
    const { timeline } = this;
    // It sent its first reading.
    if (this.series && isNotFound(timeline.failure)) this.load();
    if (this.needs.moment().connected && timeline.isDue(now())) void timeline.renew();
    this.ask();
  }

  draw() {
    if (!this.isOpen || this.shown.id === '') return;
    const moment = this.needs.moment();
    const { id, range } = this.shown;
    const types = this.needs.catalogue.allOf(id).map((one) => one.type);
    this.head.draw(this.shown, types, this.timeline.zoom ? '' : range);
    const { series } = this;
    // Of a sensor that nobody knows there are no numbers, and those of the one before are not its.
    for (const part of [this.table, this.latest, this.allTime]) part.element.hidden = !series;
    this.element.classList.toggle('unknown', this.isUnknown);
    if (series) this.latest.draw(series, moment);
    const began = performance.now();
    const rest = this.drawnFor + this.drawMs / DRAW_SHARE - began;
    if (rest > 0) {
      clearTimeout(this.timers.draw);
      this.timers.draw = setTimeout(this.ask, rest);
      return;
    }
    this.drawChart(moment);
    this.drawnFor = began;
    this.drawMs = performance.now() - began;
  }

  /** Nobody has told of such a series. */
  get isUnknown() {
    if (this.series) return false;
    const { type } = this.shown;
    return type === '' || this.needs.listed() || isNotFound(this.timeline.failure);
  }

  /** @param {import('./card.js').Moment} moment */
  drawChart({ now: at, connected }) {
    const { series, timeline } = this;
    const { stretch, zoom } = timeline;
    const frame = timeline.frameAt(at);
    const live = frame.to >= at;
    const air = zoom || !live ? 0 : (frame.to - frame.from) * AIR;
    const lines = stretch.lines(frame.from, frame.to + air);
    const last = series?.last == null || series.lastAt === null
      ? null : { t: series.lastAt, v: series.last };
    if (live && last) endAt(lines, last);
    const silence = live && connected ? openSilence(series, stretch, at) : 0;
    if (silence > 0 && last) {
      lines.gaps.push({ from: last.t, to: at, before: last.v, after: null, silence });
    }
    this.chart.show({
      ...lines,
      from: frame.from,
      to: frame.to + air,
      now: live ? at : null,
      last,
      unit: series?.unit ?? '',
      decimals: series?.decimals ?? 1,
      steps: stretch.window === null && (series?.isOnOff ?? false),
    });
    const end = Math.min(frame.to, at);
    setText(this.title, rangeTitle(frame.from, end, live && connected));
    this.whole.hidden = zoom === null;
    this.csv.draw(this.shown, stretch);
    this.caption.draw(stretch, timeline.sums.thinned, { firstAt: timeline.firstAt, now: at });
    // A sensor's clock may be ahead of ours: what it sent has been measured all the same.
    const until = live && !zoom ? Infinity : frame.to;
    const some = this.drawTable({ from: frame.from, to: end }, { until, silence });
    if (this.isUnknown) this.sayUnknown();
    else if (timeline.failure !== null) this.sayFailure(timeline.failure);
    else if (some || timeline.waiting) this.over.hide();
    else this.sayNothing(at);
  }

  /**
   * @param {Span} span as it is said
   * @param {{until: number, silence: number}} end what was measured up to then counts, and how
   *   long nothing was at its end
   * @returns {boolean} whether anything was measured in it
   */
  drawTable(span, { until, silence }) {
    const { series, timeline: { stretch, sums, firstAt } } = this;
    const extremes = summarise(stretch, span.from, until);
    if (!series) return extremes !== null;
    const whole = sums.of(stretch);
    const known = whole === stretch ? extremes : whole && summarise(whole, span.from, until);
    // Live readings are here before the server has counted them. Where the range has all there
    // are, both numbers are of the same readings.
    const all = firstAt === null || !known ? 0 : Math.max(known.count, series.count ?? 0);
    this.allTime.draw(series, all || series.count);
    this.table.draw(series, {
      extremes,
      sums: known && {
        ...known,
        count: all || known.count,
        gaps: known.gaps + (silence > 0 ? 1 : 0),
        gapMs: known.gapMs + silence,
      },
      window: whole?.window ?? null,
      percentiles: sums.percentiles,
    }, span);
    const sum = extremes ? `from ${extremes.min} to ${extremes.max} ${series.unit}` : 'nothing';
    const { id, type } = this.shown;
    setAttribute(this.plot, 'aria-label', `${id}, ${type}, ${this.title.textContent}, ${sum}`);
    return extremes !== null;
  }

  /** Neither an error nor an empty range: there is no such sensor, or it does not measure this. */
  sayUnknown() {
    const { id, type } = this.shown;
    const others = this.needs.catalogue.allOf(id).length > 0;
    const title = others ? `This sensor has no ${type}` : 'This sensor is not known';
    const none = others ? 'No such reading of it' : 'No reading of this sensor';
    this.over.say(title, `${none} has come, or it was removed. This page changes by itself.`,
      { label: 'Show all sensors', act: this.needs.back },
      { label: 'Why is my sensor missing?', href: `api/topics?${new URLSearchParams({ q: id })}` });
  }

  /** @param {unknown} error */
  sayFailure(error) {
    const said = error instanceof Error ? error.message : String(error);
    const again = { label: 'Try again', act: () => this.load() };
    this.over.say('The history could not be fetched', said, again);
  }

  /** @param {number} at */
  sayNothing(at) {
    const lastAt = this.series?.lastAt ?? null;
    const range = rangeNamed(this.shown.range);
    const when = range.live ? `in the last ${duration(range.hours * 3600)}` : 'yesterday';
    const { zoom } = this.timeline;
    const title = `Nothing was measured ${zoom ? 'here' : when}`;
    if (zoom || lastAt === null) {
      this.over.say(title, '');
      return;
    }
    const reach = rangeFor(at - lastAt);
    const way = reach && reach.name !== range.name
      ? { label: `Show ${reach.label}`, act: () => this.needs.chooseRange(reach.name) } : undefined;
    this.over.say(title, `The last reading is of ${momentText(lastAt, at)}.`, way);
  }

  /** Other colours or another zone. */
  rebuild() {
    if (!this.isOpen) return;
    this.chart.rebuild();
    this.ask();
  }
}

/** @param {unknown} failure */
const isNotFound = (failure) => failure instanceof Refused && failure.status === 404;

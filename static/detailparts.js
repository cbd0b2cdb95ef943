/** The fixed parts of the detail view: its head with the ranges, and what lies over the chart. */

import { h, idLabel, setAttribute, setText } from './dom.js';
import {
  clockTime, dayInWeek, dayInYear, duration, exact, hourMinute, moment as momentText, number,
  sameDay, yearOf,
} from './format.js';
import { icon } from './icons.js';
import { linkTo } from './route.js';
import { RANGES } from './ranges.js';

export class DetailHead {
  /** @param {{back: () => void, range: (name: string) => void}} pressed */
  constructor(pressed) {
    this.id = idLabel('');
    this.type = h('bdi', { class: 'dim' });
    this.others = h('nav', { class: 'others', 'aria-label': 'Other readings of this sensor' });
    this.buttons = RANGES.map((range) => h('button', {
      type: 'button', 'data-range': range.name, class: range.live ? null : 'apart',
      click: () => pressed.range(range.name),
    }, range.label));
    const back = { class: 'button square', type: 'button', 'aria-label': 'Back to all sensors' };
    this.element = h('div', { class: 'detail-head' },
      h('button', { ...back, 'data-role': 'back', click: pressed.back }, icon('back')),
      h('h1', { class: 'chip' }, h('i', { class: 'swatch', 'aria-hidden': 'true' }),
        this.id.element, this.type),
      this.others,
      h('div', { class: 'segments', role: 'group', 'aria-label': 'Range' }, ...this.buttons));
    this.othersShown = '';
  }

  /**
   * @param {{id: string, type: string}} shown
   * @param {string[]} types all that this sensor measures
   * @param {string} range '' while a part of it is looked at
   */
  draw(shown, types, range) {
    this.id.set(shown.id);
    setText(this.type, shown.type);
    for (const button of this.buttons) {
      setAttribute(button, 'aria-pressed', String(button.dataset.range === range));
    }
    const others = types.filter((type) => type !== shown.type);
    const key = JSON.stringify([others, linkTo({})]);
    if (key === this.othersShown) return;
    this.othersShown = key;
    this.others.replaceChildren(...others.map((type) =>
      h('a', { class: 'button', href: linkTo({ sensor: shown.id, type }) }, h('bdi', {}, type))));
  }
}

/** What the chart says instead of a line: nothing there, or a failure. */
export class Over {
  constructor() {
    this.title = h('b');
    this.text = h('p');
    this.button = h('button', { class: 'button edge', type: 'button', click: () => this.act() });
    this.link = h('a', { class: 'button edge', target: '_blank', rel: 'noopener' });
    this.element = h('div', { class: 'over', hidden: true, 'data-role': 'over' },
      h('div', { class: 'over-words' }, this.title, this.text,
        h('p', { class: 'ways' }, this.link, this.button)));
    this.act = () => {};
  }

  hide() {
    this.element.hidden = true;
  }

  /**
   * @param {string} title
   * @param {string} text
   * @param {{label: string, act: () => void}} [way]
   * @param {{label: string, href: string}} [page] where more is said
   */
  say(title, text, way, page) {
    this.element.hidden = false;
    setText(this.title, title);
    setText(this.text, text);
    this.button.hidden = !way;
    setText(this.button, way?.label ?? '');
    this.act = way?.act ?? (() => {});
    this.link.hidden = !page;
    setText(this.link, page?.label ?? '');
    setAttribute(this.link, 'href', page?.href ?? null);
  }
}

/** @type {Map<import('./question.js').Resolution, string>} */
const WINDOWS = new Map([['1m', '1-minute'], ['1h', '1-hour']]);

/** What the line is, in words. */
export class Caption {
  constructor() {
    this.line = h('span', { 'data-role': 'caption-line' });
    this.band = h('span', { 'data-role': 'caption-band' });
    this.since = h('span');
    this.element = h('div', { class: 'caption' }, this.line, this.band, this.since,
      h('span', { class: 'wide' }, 'Drag to zoom, double-click to reset'));
  }

  /**
   * @param {import('./stretch.js').Stretch} stretch
   * @param {boolean | null} thinned some rows were left out; null: not known
   * @param {{firstAt: number | null, now: number}} moments
   */
  draw(stretch, thinned, { firstAt, now }) {
    const windows = WINDOWS.get(stretch.resolution);
    const readings = thinned === null ? 'readings'
      : thinned ? 'lowest and highest readings' : 'every reading';
    setText(this.line, `Line: ${windows ? `average of ${windows} windows` : readings}`);
    setText(this.band, windows ? 'Band: lowest to highest in the window' : '');
    const first = windows ? 'First window' : 'First reading';
    setText(this.since, firstAt === null ? '' : `${first}: ${momentText(firstAt, now)}`);
  }
}

/** The crosshair's reading or window. Beside the line, on a narrow page above it. */
export class Readout {
  constructor() {
    this.time = h('p');
    this.value = h('b', { 'data-role': 'cross-value' });
    this.unit = h('bdi', { class: 'unit' });
    this.span = h('span', { class: 'dim', 'data-role': 'cross-span' });
    const swatch = h('i', { class: 'swatch', 'aria-hidden': 'true' });
    this.element = h('div', { class: 'readout', hidden: true },
      this.time, h('p', {}, swatch, this.value, this.unit, this.span));
  }

  /**
   * @param {import('./chart.js').Crossed | null} at
   * @param {import('./catalogue.js').Series | null} series
   * @param {{width: number, window: number | null}} chart its width, and the windows it shows
   */
  draw(at, series, { width: room, window: length }) {
    this.element.hidden = !at || !series;
    if (!at || !series) return;
    const { window } = at;
    const decimals = series.decimals + (window ? series.meanDecimals : 0);
    const day = dayInWeek(at.t);
    setText(this.time, window && length !== null
      ? `${day}, ${hourMinute(at.t)} · ${duration(length / 1000)}` : `${day}, ${clockTime(at.t)}`);
    setText(this.value, number(at.v, decimals));
    setText(this.unit, series.unit);
    setText(this.span, window ? spanOf(window, series.decimals) : '');
    const wide = this.element.offsetWidth;
    const left = at.left - wide - 16 > 56 ? at.left - wide - 16 : at.left + 16;
    this.element.style.left = `${Math.max(8, Math.min(room - wide - 8, left))}px`;
  }
}

/** @param {import('./windows.js').Window} window @param {number} decimals */
function spanOf({ low, high, count }, decimals) {
  const readings = `${exact(count)} reading${count === 1 ? '' : 's'}`;
  return `mean · ${number(low, decimals)} to ${number(high, decimals)} · ${readings}`;
}

/** @param {number} from @param {number} to @param {boolean} live */
export function rangeTitle(from, to, live) {
  const day = yearOf(from) === yearOf(to) ? dayInWeek : dayInYear;
  const begin = `${day(from)}, ${hourMinute(from)}`;
  if (live) return `${begin} to now`;
  return `${begin} to ${sameDay(from, to) ? clockTime(to) : `${day(to)}, ${hourMinute(to)}`}`;
}

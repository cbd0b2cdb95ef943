/**
 * One series over time, drawn by uPlot. This file knows pixels, axes and the pointer; which
 * readings there are and which range is wanted is for `detail.js`.
 */

import { drawMarks } from './chartmarks.js';
import {
  clockTime, dayOf, decimalsOf, hourMinute, isUtc, monthOf, number, weekday, yearOf,
} from './format.js';
import { palette } from './palette.js';
import uPlot from './uPlot.esm.js';

/**
 * @typedef {object} Frame
 * @property {number} from left edge
 * @property {number} to right edge
 * @property {number | null} now where to draw the live edge; null: the range ends in the past
 * @property {{t: number, v: number} | null} last the newest reading, for its label
 * @property {string} unit
 * @property {number} decimals
 * @property {boolean} steps on and off: drawn as steps
 */

/** @typedef {import('./windows.js').Lines & Frame} Picture */

/**
 * @typedef {object} Pointer what the reader does with the chart
 * @property {(from: number, to: number) => void} zoom
 * @property {() => void} whole
 * @property {(at: Crossed | null) => void} cross
 */

/**
 * Where the crosshair stands, on a reading or on a window, and how far from the left in pixels.
 * @typedef {{t: number, v: number, window: import('./windows.js').Window | null, left: number}}
 *   Crossed
 */

/** Below this width the value's label beside the live edge has no room. */
export const NARROW_PX = 600;
/** A line, and one that goes up and down within each pixel, which should not look like a wall. */
const LINE_PX = 1.6;
const DENSE_LINE_PX = 1;
const DAY_MS = 86_400_000;
const MONTH_MS_LEAST = 28 * DAY_MS;

/** A band is quieter than its line; its edges are drawn, or a peak of one window would not show. */
const BAND_ALPHA = 0.2;
const EDGE_ALPHA = 0.3;

export class Chart {
  /** @param {HTMLElement} host @param {Pointer} pointer */
  constructor(host, pointer) {
    this.host = host;
    this.pointer = pointer;
    /** @type {uPlot | null} */
    this.plot = null;
    /** @type {Picture | null} */
    this.picture = null;
    this.built = '';
  }

  /** How many pixels the range itself has; before the first picture, about. */
  get pixels() {
    const { plot, host } = this;
    const around = host.clientWidth < NARROW_PX ? 64 : 160;
    return plot ? plot.bbox.width / devicePixelRatio : host.clientWidth - around;
  }

  /** @param {Picture} picture */
  show(picture) {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (width === 0 || height === 0) return;
    this.picture = picture;
    const build = `${picture.steps} ${isUtc()} ${width < NARROW_PX}`;
    if (!this.plot || this.built !== build) this.build(build);
    const plot = /** @type {uPlot} */ (this.plot);
    if (plot.width !== width || plot.height !== height) plot.setSize({ width, height });
    plot.batch(() => {
      const { t, v, low, high } = picture;
      const [, line] = plot.series;
      if (line) line.width = t.length > this.pixels ? DENSE_LINE_PX : LINE_PX;
      const banded = low.length > 0;
      plot.setData([t, v, banded ? low : nothing(t), banded ? high : nothing(t)], false);
      plot.setScale('x', { min: picture.from, max: picture.to });
    });
  }

  /** Colours, zone or shape of the line are others: uPlot is made anew. */
  rebuild() {
    this.built = '';
    if (this.picture) this.show(this.picture);
  }

  /** @param {string} build */
  build(build) {
    this.plot?.destroy();
    this.built = build;
    this.plot = new uPlot(this.options(), [[], [], [], []], this.host);
  }

  /** @returns {uPlot.Options} */
  options() {
    const colours = palette();
    const narrow = this.host.clientWidth < NARROW_PX;
    /** @type {uPlot.Series} */
    const edge = {
      width: 1, stroke: withAlpha(colours.s1, EDGE_ALPHA), points: { show: false },
    };
    const steps = this.picture?.steps ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
    return {
      width: this.host.clientWidth,
      height: this.host.clientHeight,
      ms: 1,
      padding: [narrow ? 28 : 36, narrow ? 16 : 104, 0, 0],
      legend: { show: false },
      cursor: this.cursor(colours),
      ...(isUtc() ? { tzDate: (/** @type {number} */ t) => uPlot.tzDate(new Date(t), 'UTC') } : {}),
      scales: {
        x: { auto: false, range: (_, min, max) => [min, max] },
        y: { range: (_, min, max) => this.heightOf(min, max) },
      },
      series: [{}, {
        stroke: colours.s1,
        width: LINE_PX,
        points: { size: 5, fill: colours.s1, stroke: colours.s1, width: 0 },
        ...(steps ? { paths: steps } : {}),
      }, edge, edge],
      bands: [{ series: [3, 2], fill: withAlpha(colours.s1, BAND_ALPHA) }],
      axes: this.axes(colours, narrow),
      hooks: {
        draw: [(plot) => this.picture && drawMarks(plot, this.picture, narrow)],
        setCursor: [(plot) => this.tellCross(plot)],
        setSelect: [(plot) => this.tellZoom(plot)],
      },
    };
  }

  /** @param {import('./palette.js').Colours} colours @returns {uPlot.Cursor} */
  cursor(colours) {
    return {
      y: false,
      points: {
        // The band's edges have no point of their own.
        size: (_, series) => (series === 1 ? 9 : 0),
        width: (_, series) => (series === 1 ? 2 : 0),
        stroke: colours.surface,
        fill: colours.s1,
      },
      drag: { x: true, y: false, setScale: false, dist: 6 },
      // The crosshair stands on readings, never between them.
      move: (plot, left, top) => {
        const t = left < 0 ? undefined : plot.data[0][plot.posToIdx(left)];
        return [t === undefined ? left : plot.valToPos(t, 'x'), top];
      },
      bind: {
        dblclick: () => () => {
          this.pointer.whole();
          return null;
        },
      },
    };
  }

  /** @param {import('./palette.js').Colours} colours @param {boolean} narrow */
  axes(colours, narrow) {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const family = getComputedStyle(document.body).fontFamily;
    const font = `400 ${rem * (narrow ? 0.75 : 0.6875)}px ${family}`;
    const text = { stroke: colours['ink-3'], font, labelFont: font };
    /** @type {uPlot.Axis} */
    const x = {
      ...text,
      size: 36,
      gap: 6,
      space: 76,
      values: (_, splits, _axis, _space, step) => splits.map((t) => timeLabel(t, step)),
      grid: { stroke: colours.line, width: 1, filter: (_, splits) => splits.map(ifMidnight) },
      ticks: { stroke: colours['line-2'], width: 1, size: 5 },
      border: { show: true, stroke: colours['line-2'], width: 1 },
    };
    /** @type {uPlot.Axis} */
    const y = {
      ...text,
      size: (_, values) => {
        const letters = Math.max(3, ...(values ?? []).map((value) => value.length));
        return Math.max(narrow ? 40 : 56, letters * rem * 0.44 + 24);
      },
      gap: narrow ? 5 : 9,
      space: 52,
      values: (_, splits, _axis, _space, step) => {
        const whole = this.picture?.steps === true;
        // As many as the step has: 2.5 needs one, 0.00002 five.
        const least = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
        const decimals = whole ? 0 : Math.max(least, decimalsOf(step));
        return splits.map((value) => number(value, decimals));
      },
      ...(this.picture?.steps ? { splits: [0, 1] } : {}),
      grid: { stroke: colours.line, width: 1 },
      ticks: { show: false },
    };
    return [x, y];
  }

  /**
   * @param {number | null} low
   * @param {number | null} high
   * @returns {[number, number]} the y axis: some air, and never so near that noise looks large
   */
  heightOf(low, high) {
    if (this.picture?.steps) return [-0.15, 1.15];
    if (low === null || high === null) return [0, 1];
    const least = 4 * 10 ** -(this.picture?.decimals ?? 0);
    const span = Math.max(high - low, least);
    const middle = (low + high) / 2;
    return [middle - span * 0.62, middle + span * 0.62];
  }

  /** @param {uPlot} plot */
  tellCross(plot) {
    const { idx, left } = plot.cursor;
    const t = idx == null ? undefined : plot.data[0][idx];
    const v = idx == null ? null : plot.data[1]?.[idx];
    const window = idx == null ? null : (this.picture?.windows[idx] ?? null);
    const outside = t === undefined || v == null || left == null || left < 0;
    const offset = plot.bbox.left / devicePixelRatio;
    const x = outside ? 0 : plot.valToPos(t, 'x') + offset;
    this.pointer.cross(outside ? null : { t: window?.t ?? t, v, window, left: x });
  }

  /** @param {uPlot} plot */
  tellZoom(plot) {
    const { left, width } = plot.select;
    if (width < 6) return;
    this.pointer.zoom(plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x'));
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }
}

/** @param {number[]} t @returns {null[]} */
const nothing = (t) => t.map(() => null);

/** @param {string} colour as `rgb(r, g, b)` @param {number} alpha */
const withAlpha = (colour, alpha) => colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);

/** @param {number} t */
function isMidnight(t) {
  if (isUtc()) return t % DAY_MS === 0;
  const at = new Date(t);
  return at.getHours() + at.getMinutes() + at.getSeconds() + at.getMilliseconds() === 0;
}

/** @param {number} t */
const ifMidnight = (t) => (isMidnight(t) ? t : null);

/** @param {number} t @param {number} step between labels, in ms */
function timeLabel(t, step) {
  if (step >= MONTH_MS_LEAST) return new Date(t).getMonth() === 0 ? yearOf(t) : monthOf(t);
  if (step > DAY_MS) return dayOf(t);
  if (isMidnight(t)) return weekday(t);
  return step < 60_000 ? clockTime(t) : hourMinute(t);
}

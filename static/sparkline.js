/**
 * The last five minutes of a series in one small canvas. Its time axis is fixed to the last five
 * minutes; its height covers its own range, but never less than four of the sensor's steps, so that
 * noise stays small. Where readings end the line ends.
 */

import { h } from './dom.js';
import { palette } from './palette.js';
import { gapFrom } from './series.js';
import { SPARK_MS } from './spark.js';

/** With fewer readings than this each gets a dot. */
const DOTTED_BELOW = 16;
/** Room for the last reading's dot and for half a line. */
const EDGE = 3;

export class Sparkline {
  constructor() {
    this.canvas = h('canvas', { 'aria-hidden': 'true' });
    this.empty = h('em', { hidden: true }, 'nothing in 5 min');
    this.element = h('div', { class: 'spark' }, this.canvas, this.empty);
    this.width = 0;
    this.height = 0;
  }

  /** Takes its size from the layout; afterwards it must be drawn. */
  measure() {
    this.width = this.element.clientWidth;
    this.height = this.element.clientHeight;
    this.canvas.width = Math.round(this.width * devicePixelRatio);
    this.canvas.height = Math.round(this.height * devicePixelRatio);
  }

  /** How long the window takes to move by one pixel, in ms. */
  get pixelMs() {
    return SPARK_MS / Math.max(1, this.width);
  }

  /**
   * @param {import('./catalogue.js').Series} series
   * @param {{now: number, quiet: boolean}} moment quiet: nothing here claims to be live
   */
  draw(series, moment) {
    const g = this.canvas.getContext('2d');
    if (!g || this.width === 0) return;
    g.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    g.clearRect(0, 0, this.width, this.height);
    const points = this.pointsOf(series, moment.now);
    this.empty.hidden = points.length > 0;
    const end = points.at(-1)?.x ?? 0;
    if (points.length === 0 || end < this.width * 0.9) this.drawBase(g, end);
    if (points.length === 0) return;
    g.strokeStyle = g.fillStyle = moment.quiet ? palette()['ink-3'] : palette().water;
    drawLine(g, points, { bottom: this.height, steps: series.isOnOff });
    const dots = points.length < DOTTED_BELOW ? points : points.slice(-1);
    for (const point of dots) dot(g, point, point === points.at(-1) ? 2.5 : 1.75);
  }

  /** @typedef {{x: number, y: number, open: boolean}} Point open: a gap is before it */

  /**
   * @param {import('./catalogue.js').Series} series
   * @param {number} now
   * @returns {Point[]}
   */
  pointsOf(series, now) {
    if (!series.spark) return [];
    const { rows: s, tears } = series.spark;
    const start = now - SPARK_MS;
    const first = s.indexAfter(start);
    let [low, high] = [Infinity, -Infinity];
    for (let i = first; i < s.to; i += 1) {
      low = Math.min(low, /** @type {number} */ (s.v[i]));
      high = Math.max(high, /** @type {number} */ (s.v[i]));
    }
    const least = series.isOnOff ? 1 : 4 * 10 ** -series.decimals;
    const span = Math.max(high - low, least);
    const middle = series.isOnOff ? 0.5 : (low + high) / 2;
    const scale = (this.height - 2 * EDGE) / span;
    const missing = gapFrom(s);
    /** @type {Point[]} */
    const points = [];
    for (let i = first; i < s.to; i += 1) {
      const t = /** @type {number} */ (s.t[i]);
      const before = i > first ? /** @type {number} */ (s.t[i - 1]) : t;
      const v = /** @type {number} */ (s.v[i]);
      const x = Math.min(1, (t - start) / SPARK_MS) * (this.width - EDGE);
      const open = t - before > missing || (t > before && tears.includes(before));
      points.push({ x, y: this.height / 2 - (v - middle) * scale, open });
    }
    return points;
  }

  /** @param {CanvasRenderingContext2D} g @param {number} from */
  drawBase(g, from) {
    g.strokeStyle = palette()['line-2'];
    g.lineWidth = 1;
    g.setLineDash([2, 3]);
    g.beginPath();
    g.moveTo(from, this.height - 0.5);
    g.lineTo(this.width, this.height - 0.5);
    g.stroke();
    g.setLineDash([]);
  }
}

/**
 * @param {CanvasRenderingContext2D} g
 * @param {Point[]} points
 * @param {{bottom: number, steps: boolean}} how
 */
function drawLine(g, points, how) {
  g.lineWidth = 1.5;
  g.lineJoin = g.lineCap = 'round';
  for (let i = 0; i < points.length; ) {
    let end = i + 1;
    while (end < points.length && !points[end]?.open) end += 1;
    const run = points.slice(i, end);
    const [first, last] = [run[0], run.at(-1)];
    if (!first || !last) return;
    const line = new Path2D();
    line.moveTo(first.x, first.y);
    let y = first.y;
    for (const point of run) {
      if (how.steps) line.lineTo(point.x, y);
      line.lineTo(point.x, (y = point.y));
    }
    g.stroke(line);
    line.lineTo(last.x, how.bottom);
    line.lineTo(first.x, how.bottom);
    g.globalAlpha = 0.11;
    g.fill(line);
    g.globalAlpha = 1;
    i = end;
  }
}

/** @param {CanvasRenderingContext2D} g @param {Point} at @param {number} radius */
function dot(g, at, radius) {
  g.beginPath();
  g.arc(at.x, at.y, radius, 0, 2 * Math.PI);
  g.fill();
}

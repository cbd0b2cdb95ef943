/** What is drawn over the line: unit, live edge with the newest value, the ends of gaps. */

import { duration, number, withUnit } from './format.js';
import { palette } from './palette.js';

/** Gaps narrower than this cannot be seen. */
const GAP_PX_LEAST = 4;
const TAU = 2 * Math.PI;

/**
 * @typedef {object} Sheet a canvas in CSS pixels
 * @property {CanvasRenderingContext2D} g
 * @property {{left: number, top: number, right: number, bottom: number}} box the plotting area
 * @property {(t: number) => number} x
 * @property {(v: number) => number} y
 * @property {(weight: number) => string} font
 */

/**
 * @param {import('uplot')} plot
 * @param {import('./chart.js').Picture} picture
 * @param {boolean} narrow
 */
export function drawMarks(plot, picture, narrow) {
  const scale = devicePixelRatio;
  const { left, top, width, height } = plot.bbox;
  const size = parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.6875;
  const family = getComputedStyle(document.body).fontFamily;
  /** @type {Sheet} */
  const sheet = {
    g: plot.ctx,
    box: {
      left: left / scale,
      top: top / scale,
      right: (left + width) / scale,
      bottom: (top + height) / scale,
    },
    x: (t) => plot.valToPos(t, 'x', true) / scale,
    y: (v) => plot.valToPos(v, 'y', true) / scale,
    font: (weight) => `${weight} ${size}px ${family}`,
  };
  const { g } = sheet;
  g.save();
  g.scale(scale, scale);
  g.font = sheet.font(400);
  g.textBaseline = 'middle';
  drawUnit(sheet, picture.unit);
  for (const gap of picture.gaps) drawGap(sheet, gap, narrow);
  if (picture.now !== null) drawLiveEdge(sheet, picture, narrow);
  g.restore();
}

/** @param {Sheet} sheet @param {string} unit */
function drawUnit({ g, box }, unit) {
  g.fillStyle = palette()['ink-2'];
  g.textAlign = 'right';
  // The axis is narrow: a long unit keeps its beginning.
  g.fillText(unit.length > 8 ? `${unit.slice(0, 7)}…` : unit, box.left - 9, box.top - 18);
}

/** @param {Sheet} sheet @param {import('./series.js').Gap} gap @param {boolean} narrow */
function drawGap({ g, box, x, y }, gap, narrow) {
  const from = Math.max(box.left, x(gap.from));
  const to = Math.min(box.right, x(gap.to));
  if (to - from < GAP_PX_LEAST) return;
  const { surface, s1, 'ink-2': ink } = palette();
  g.lineWidth = 1.5;
  g.strokeStyle = s1;
  g.fillStyle = surface;
  for (const [t, v] of /** @type {const} */ ([[gap.from, gap.before], [gap.to, gap.after]])) {
    if (v === null || x(t) < box.left || x(t) > box.right) continue;
    g.beginPath();
    g.arc(x(t), y(v), 3, 0, TAU);
    g.fill();
    g.stroke();
  }
  const foot = box.bottom - 9;
  g.beginPath();
  for (const end of [from, to]) {
    g.moveTo(end, foot - 4);
    g.lineTo(end, foot + 4);
  }
  g.moveTo(from, foot);
  g.lineTo(to, foot);
  g.stroke();
  const length = duration(gap.silence / 1000);
  const said = gap.torn ? 'not delivered' : narrow ? length : `no readings for ${length}`;
  const wide = g.measureText(said).width;
  g.fillStyle = ink;
  const before = from - 8 - wide > box.left;
  g.textAlign = before ? 'right' : 'left';
  if (before || to + 8 + wide < box.right) g.fillText(said, before ? from - 8 : to + 8, foot);
}

/** @param {Sheet} sheet @param {import('./chart.js').Picture} picture @param {boolean} narrow */
function drawLiveEdge(sheet, picture, narrow) {
  const { g, box } = sheet;
  const { water, s1, surface } = palette();
  const edge = Math.round(sheet.x(/** @type {number} */ (picture.now))) + 0.5;
  g.strokeStyle = g.fillStyle = water;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(edge, box.top - 8);
  g.lineTo(edge, box.bottom);
  g.stroke();
  g.textAlign = narrow ? 'right' : 'center';
  g.fillText('now', narrow ? edge + 8 : edge, box.top - 18);
  const { last } = picture;
  if (!last || last.t < picture.from) return;
  const [x, y] = [Math.min(edge, sheet.x(last.t)), sheet.y(last.v)];
  g.fillStyle = surface;
  disc(g, x, y, 5.5);
  g.fillStyle = s1;
  disc(g, x, y, 3.5);
  if (!narrow) drawValue(sheet, { x: edge, y, text: valueText(last.v, picture) });
}

/** @param {number} v @param {import('./chart.js').Picture} picture */
const valueText = (v, picture) => withUnit(number(v, picture.decimals), picture.unit);

/** @param {CanvasRenderingContext2D} g @param {number} x @param {number} y @param {number} r */
function disc(g, x, y, r) {
  g.beginPath();
  g.arc(x, y, r, 0, TAU);
  g.fill();
}

/**
 * The newest value at the end of its line.
 * @param {Sheet} sheet
 * @param {{x: number, y: number, text: string}} label
 */
function drawValue({ g, font }, { x, y, text }) {
  const { s1, surface } = palette();
  g.font = font(600);
  const wide = g.measureText(text).width + 14;
  const left = Math.min(x + 16, g.canvas.width / devicePixelRatio - wide - 2);
  g.strokeStyle = s1;
  g.globalAlpha = 0.5;
  g.beginPath();
  g.moveTo(x + 7, Math.round(y) + 0.5);
  g.lineTo(left, Math.round(y) + 0.5);
  g.stroke();
  g.globalAlpha = 1;
  g.fillStyle = s1;
  g.beginPath();
  g.roundRect(left, y - 10, wide, 20, 4);
  g.fill();
  g.fillStyle = surface;
  g.textAlign = 'left';
  g.fillText(text, left + 7, y + 0.5);
}

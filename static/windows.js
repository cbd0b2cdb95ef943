/**
 * When a range has more readings than pixels, a line over all of them is a thick stripe. Then the
 * line is the average of windows one pixel wide or a little more, and a band from their lowest to
 * their highest reading keeps every peak.
 */

import { gapFrom } from './series.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Lengths that a reader can name. */
const LENGTHS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12, 24].map((n) => n * HOUR),
];

/**
 * @param {number} span of the range in ms
 * @param {number} pixels its width
 * @param {number} readings how many it has
 * @returns {number | null} length of a window in ms; null: every reading has a pixel of its own
 */
export function windowFor(span, pixels, readings) {
  if (readings <= pixels) return null;
  const pixel = span / pixels;
  const length = LENGTHS.find((one) => one >= pixel);
  return length === undefined || span / length >= readings ? null : length;
}

/**
 * @typedef {object} Lines
 * @property {number[]} t ms since 1970
 * @property {(number | null)[]} v the line; null: a gap
 * @property {(number | null)[]} low the band's lower edge, and its upper
 * @property {(number | null)[]} high
 * @property {import('./series.js').Gap[]} gaps
 */

/**
 * @param {import('./series.js').Columns} columns
 * @param {{from: number, to: number, length: number}} range length of a window
 * @returns {Lines}
 */
export function windowed(columns, { from, to, length }) {
  /** @type {Lines} */
  const out = { t: [], v: [], low: [], high: [], gaps: [] };
  const missing = gapFrom(columns);
  const first = Math.max(columns.from, columns.indexAfter(from - length) - 1);
  const end = Math.min(columns.to, columns.indexAfter(to + length) + 1);
  let [start, count, sum, low, high] = [NaN, 0, 0, Infinity, -Infinity];
  let newest = NaN;
  const close = () => {
    // The window that is still filling must not reach beyond what has been measured.
    if (count > 0) put(out, Math.min(start + length / 2, newest), [sum / count, low, high]);
    [count, sum, low, high] = [0, 0, Infinity, -Infinity];
  };
  for (let i = first; i < end; i += 1) {
    const t = /** @type {number} */ (columns.t[i]);
    const v = /** @type {number} */ (columns.v[i]);
    if (t - newest > missing) {
      close();
      put(out, (newest + t) / 2, [null, null, null]);
      const before = /** @type {number} */ (columns.v[i - 1]);
      out.gaps.push({ from: newest, to: t, before, after: v });
      start = NaN;
    }
    const here = Math.floor(t / length) * length;
    if (here !== start) {
      close();
      start = here;
    }
    count += 1;
    sum += v;
    if (v < low) low = v;
    if (v > high) high = v;
    newest = t;
  }
  close();
  // The line ends at the newest reading itself, where the live value stands.
  const last = columns.to - 1;
  if (end === columns.to && last >= first) {
    const v = /** @type {number} */ (columns.v[last]);
    put(out, newest, [v, v, v]);
  }
  return out;
}

/**
 * @param {Lines} out
 * @param {number} t
 * @param {[number | null, number | null, number | null]} point line, low, high
 */
function put(out, t, [v, low, high]) {
  out.t.push(t);
  out.v.push(v);
  out.low.push(low);
  out.high.push(high);
}

/**
 * Windows of one series in order of time: each a mean with its lowest, its highest and how many
 * readings it holds. The line goes through the means, a band from the lowest to the highest keeps
 * every peak.
 */

import { INTERVALS_MISSING, usualStep } from './series.js';

/**
 * @typedef {object} Window
 * @property {number} t its start, in ms since 1970
 * @property {number} v the mean
 * @property {number} low
 * @property {number} high
 * @property {number} count
 */

/**
 * @typedef {object} Lines
 * @property {number[]} t ms since 1970
 * @property {(number | null)[]} v the line; null: a gap
 * @property {(number | null)[]} low the band's lower edge, and its upper; empty: no band
 * @property {(number | null)[]} high
 * @property {(Window | null)[]} windows what stands at each place; empty: readings
 * @property {import('./series.js').Gap[]} gaps
 */

export class Windows {
  /** @param {number} window its length in ms @param {number} most kept; the oldest go first */
  constructor(window, most) {
    this.window = window;
    this.most = most;
    /** @type {Window[]} */
    this.all = [];
  }

  get length() {
    return this.all.length;
  }

  /** Start of the first; there must be one. */
  get first() {
    return this.at(0).t;
  }

  /** @param {number} i within it */
  at(i) {
    return /** @type {Window} */ (this.all[i]);
  }

  /** @param {Window} window later than all before it */
  append(window) {
    this.all.push(window);
    if (this.all.length > this.most) this.all.splice(0, this.most >> 3);
  }

  /**
   * Counts a reading in its window. A window that is neither here nor the newest may only have been
   * left out to keep the answer short: counting in it is for the next answer.
   *
   * @param {number} t
   * @param {number} v
   */
  push(t, v) {
    const start = Math.floor(t / this.window) * this.window;
    const next = this.indexAfter(start);
    const window = this.all[next - 1];
    if (window?.t === start) {
      window.count += 1;
      window.v += (v - window.v) / window.count;
      window.low = Math.min(window.low, v);
      window.high = Math.max(window.high, v);
    } else if (next === this.all.length) {
      this.append({ t: start, v, low: v, high: v, count: 1 });
    }
  }

  /** The first index whose window starts later than `t`. @param {number} t */
  indexAfter(t) {
    let [low, high] = [0, this.all.length];
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.at(mid).t <= t) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  /**
   * From how long a silence on, between the end of one window and the start of the next, readings
   * are missing: see `gapFrom` of readings. Where every window usually has readings, one without
   * is missing, if its length is three of the usual steps between readings. Where windows usually
   * lie apart, be it that the sensor is slow or that the server left windows out, three of those.
   *
   * @returns {number} ms; Infinity with fewer than three windows
   */
  gapFrom() {
    if (this.length < 3) return Infinity;
    const usual = usualStep((i) => this.at(i).t, 0, this.length);
    if (usual > this.window) return INTERVALS_MISSING * usual - this.window;
    const counts = this.all.map((window) => window.count).sort((a, b) => a - b);
    const typical = /** @type {number} */ (counts[counts.length >> 1]);
    return this.window * Math.max(1, INTERVALS_MISSING / typical);
  }
}

/**
 * The means at the middles of their windows.
 *
 * @param {Windows} windows
 * @param {number} from ms since 1970
 * @param {number} to
 * @returns {Lines}
 */
export function bandOf(windows, from, to) {
  /** @type {Lines} */
  const out = { t: [], v: [], low: [], high: [], windows: [], gaps: [] };
  const missing = windows.gapFrom();
  // One window beyond each edge, so that lines run to the edge.
  const first = Math.max(0, windows.indexAfter(from - windows.window) - 1);
  const end = Math.min(windows.length, windows.indexAfter(to) + 1);
  for (let i = first; i < end; i += 1) {
    const window = windows.at(i);
    const x = window.t + windows.window / 2;
    const before = i > first ? windows.at(i - 1) : null;
    const silence = before ? window.t - before.t - windows.window : 0;
    if (before && silence > 0 && silence >= missing) {
      const end = before.t + windows.window / 2;
      put(out, (end + x) / 2, null);
      out.gaps.push({ from: end, to: x, before: before.v, after: window.v, silence });
    }
    put(out, x, window);
  }
  return out;
}

/**
 * Lets the line end at the newest reading itself, where the live value stands; the window that is
 * still filling must not reach beyond it.
 *
 * @param {Lines} lines up to the newest window
 * @param {{t: number, v: number}} last
 */
export function endAt(lines, { t, v }) {
  const end = lines.t.length - 1;
  const newest = lines.windows[end];
  if (!newest || t < newest.t) return;
  lines.t[end] = Math.min(t, /** @type {number} */ (lines.t[end]));
  put(lines, t, null);
  lines.v[end + 1] = lines.low[end + 1] = lines.high[end + 1] = v;
}

/** @param {Lines} out @param {number} t @param {Window | null} window null: a gap */
function put(out, t, window) {
  out.t.push(t);
  out.v.push(window?.v ?? null);
  out.low.push(window?.low ?? null);
  out.high.push(window?.high ?? null);
  out.windows.push(window);
}

/**
 * The readings of one series as two columns, times and values, bounded and in order of time.
 *
 * Typed arrays, because a day at one reading per second is 86,400 of them: 1.4 MB here, some 20 MB
 * as objects. Arrays double until the bound; at the bound the oldest eighth goes at once, so that
 * dropping costs nothing per reading.
 */

export class Columns {
  /** @param {number} most readings kept; the oldest go first */
  constructor(most) {
    this.most = most;
    this.t = new Float64Array(16);
    this.v = new Float64Array(16);
    /** Index of the oldest reading, and one past the newest. */
    this.from = 0;
    this.to = 0;
  }

  get length() {
    return this.to - this.from;
  }

  /** Time of the newest reading; -Infinity when there is none. */
  get newest() {
    return this.to > this.from ? /** @type {number} */ (this.t[this.to - 1]) : -Infinity;
  }

  /**
   * Takes a reading at its place in time; nearly always that is the end.
   * @param {number} t ms since 1970
   * @param {number} v
   */
  push(t, v) {
    if (this.length >= this.most) this.from += Math.max(1, this.most >> 3);
    if (this.to === this.t.length) this.makeRoom();
    let at = this.to;
    if (t < this.newest) {
      at = this.indexAfter(t);
      this.t.copyWithin(at + 1, at, this.to);
      this.v.copyWithin(at + 1, at, this.to);
    }
    this.t[at] = t;
    this.v[at] = v;
    this.to += 1;
  }

  /** Replaces the newest reading. @param {number} t @param {number} v */
  replaceNewest(t, v) {
    if (this.length > 0) this.to -= 1;
    this.push(t, v);
  }

  /** Forgets what was measured before `t`. @param {number} t */
  dropBefore(t) {
    while (this.from < this.to && /** @type {number} */ (this.t[this.from]) < t) this.from += 1;
  }

  /**
   * The first index whose reading is later than `t`.
   * @param {number} t
   */
  indexAfter(t) {
    let low = this.from;
    let high = this.to;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (/** @type {number} */ (this.t[mid]) <= t) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  makeRoom() {
    const length = this.length;
    if (this.from > this.t.length >> 2) {
      this.t.copyWithin(0, this.from, this.to);
      this.v.copyWithin(0, this.from, this.to);
    } else {
      const wider = Math.max(16, this.t.length * 2);
      const t = new Float64Array(wider);
      const v = new Float64Array(wider);
      t.set(this.t.subarray(this.from, this.to));
      v.set(this.v.subarray(this.from, this.to));
      this.t = t;
      this.v = v;
    }
    this.from = 0;
    this.to = length;
  }
}

/** Silence is a gap from so many of the series' own intervals on: as the server calls it late. */
export const INTERVALS_MISSING = 3;
/**
 * Shorter silence is none, however fast the sensor: a guess at what a person would call a hiccup,
 * and what makes a connection stale.
 */
const GAP_MS_MIN = 5000;

/**
 * From how long a silence on readings are missing: three intervals, each what all but 5 % of the
 * steps take at most. Sensors that report on change have irregular steps, hence a high quantile
 * and not the median.
 *
 * @param {Columns} columns
 * @returns {number} ms; Infinity with fewer than three readings
 */
export function gapFrom(columns) {
  if (columns.length < 3) return Infinity;
  const timeAt = (/** @type {number} */ i) => /** @type {number} */ (columns.t[i]);
  const interval = usualStep(timeAt, columns.from, columns.to);
  return Math.max(GAP_MS_MIN, interval * INTERVALS_MISSING);
}

/** Of so many steps the usual one is known well enough. */
const STEPS_LOOKED_AT = 1000;

/**
 * What all but 5 % of the steps take at most.
 *
 * @param {(i: number) => number} timeAt ascending
 * @param {number} from the first index
 * @param {number} to one past the last; at least two more than `from`
 * @returns {number}
 */
export function usualStep(timeAt, from, to) {
  const stride = Math.max(1, Math.floor((to - from - 1) / STEPS_LOOKED_AT));
  /** @type {number[]} */
  const steps = [];
  for (let i = from + 1; i < to; i += stride) steps.push(timeAt(i) - timeAt(i - 1));
  steps.sort((a, b) => a - b);
  return /** @type {number} */ (steps[Math.floor((steps.length - 1) * 0.95)]);
}

/**
 * @typedef {{from: number, to: number, before: number, after: number | null, silence: number,
 *   torn?: boolean}} Gap
 * a stretch without readings: where the line ends and goes on, with its values there (null: it does
 * not go on yet), and for how long surely nothing was measured, in ms; torn: something may have
 * been, that did not come here
 */

/**
 * The line through the readings of a stretch; a gap is a null between two of them.
 *
 * @param {Columns} columns
 * @param {{from: number, to: number, tears?: number[]}} span in ms since 1970; `tears`: after a
 *   reading of one of these times others may be missing, ascending
 * @returns {import('./windows.js').Lines} without a band
 */
export function lineOf(columns, { from, to, tears = [] }) {
  /** @type {import('./windows.js').Lines} */
  const out = { t: [], v: [], low: [], high: [], windows: [], gaps: [] };
  // One reading beyond each edge, so that lines run to the edge.
  const first = Math.max(columns.from, columns.indexAfter(from - 1) - 1);
  const end = Math.min(columns.to, columns.indexAfter(to) + 1);
  const missing = gapFrom(columns);
  for (let i = first; i < end; i += 1) {
    const t = /** @type {number} */ (columns.t[i]);
    const v = /** @type {number} */ (columns.v[i]);
    const before = i > first ? /** @type {number} */ (columns.t[i - 1]) : t;
    const isTorn = t > before && tears.some((tear) => before <= tear && tear < t);
    if (t - before > missing || isTorn) {
      const value = /** @type {number} */ (columns.v[i - 1]);
      out.t.push((before + t) / 2);
      out.v.push(null);
      const gap = { from: before, to: t, before: value, after: v, silence: t - before };
      out.gaps.push(isTorn ? { ...gap, torn: true } : gap);
    }
    out.t.push(t);
    out.v.push(v);
  }
  return out;
}

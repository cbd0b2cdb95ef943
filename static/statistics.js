/** What a range of one series amounts to: lowest, highest, mean, percentiles, gaps. */

import { gapFrom } from './series.js';

/**
 * @typedef {object} Summary
 * @property {number} count
 * @property {number} min
 * @property {number} minAt ms since 1970, the first time it was that low
 * @property {number} max
 * @property {number} maxAt
 * @property {number} avg
 * @property {number} p50
 * @property {number} p95
 * @property {number} p99
 * @property {number} gaps how many
 * @property {number} gapMs how long together
 * @property {boolean} onOff only 0 and 1 were measured
 */

/**
 * @param {import('./series.js').Columns} columns
 * @param {number} from ms since 1970, included
 * @param {number} to included
 * @returns {Summary | null} null when nothing was measured in the range
 */
export function summarise(columns, from, to) {
  const first = columns.indexAfter(from - 1);
  const end = columns.indexAfter(to);
  const count = end - first;
  if (count <= 0) return null;
  const missing = gapFrom(columns);
  let [low, high, sum, gaps, gapMs, onOff] = [first, first, 0, 0, 0, true];
  for (let i = first; i < end; i += 1) {
    const v = at(columns.v, i);
    sum += v;
    if (v < at(columns.v, low)) low = i;
    if (v > at(columns.v, high)) high = i;
    if (v !== 0 && v !== 1) onOff = false;
    const step = i > first ? at(columns.t, i) - at(columns.t, i - 1) : 0;
    if (step > missing) {
      gaps += 1;
      gapMs += step;
    }
  }
  const sorted = columns.v.slice(first, end).sort();
  return {
    count,
    min: at(columns.v, low),
    minAt: at(columns.t, low),
    max: at(columns.v, high),
    maxAt: at(columns.t, high),
    avg: sum / count,
    p50: quantile(sorted, 0.5),
    p95: quantile(sorted, 0.95),
    p99: quantile(sorted, 0.99),
    gaps,
    gapMs,
    onOff,
  };
}

/**
 * The smallest value that at least the share `q` of all values do not exceed (nearest rank).
 * @param {Float64Array} sorted not empty
 * @param {number} q above 0, at most 1
 */
function quantile(sorted, q) {
  return at(sorted, Math.max(0, Math.ceil(q * sorted.length) - 1));
}

/**
 * @param {Float64Array} column
 * @param {number} i within it
 */
const at = (column, i) => /** @type {number} */ (column[i]);

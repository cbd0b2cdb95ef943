/** What a range of one series amounts to: lowest, highest, mean, gaps. */

import { gapFrom } from './series.js';
import { Windows } from './windows.js';

/**
 * @typedef {object} Summary
 * @property {number} count
 * @property {number} min
 * @property {number} minAt ms since 1970, the first time it was that low; or its window's start
 * @property {number} max
 * @property {number} maxAt
 * @property {number} avg
 * @property {number} gaps how many
 * @property {number} gapMs how long together
 * @property {boolean} onOff only 0 and 1 were measured
 */

/**
 * @param {import('./stretch.js').Stretch} stretch
 * @param {number} from ms since 1970, included; a window counts when a part of it is in the range
 * @param {number} to included
 * @returns {Summary | null} null when nothing was measured in the range
 */
export function summarise({ rows }, from, to) {
  const end = rows.indexAfter(to);
  if (rows instanceof Windows) return ofWindows(rows, rows.indexAfter(from - rows.window), end);
  return ofReadings(rows, rows.indexAfter(from - 1), end);
}

/**
 * The silence since the newest reading, where that is a gap already. The server says so if it
 * says how the series is: it goes by when it heard of it, whatever the sensor's clock.
 *
 * @param {import('./catalogue.js').Series | null} series
 * @param {import('./stretch.js').Stretch} stretch
 * @param {number} now ms since 1970
 * @returns {number} in ms; 0: none
 */
export function openSilence(series, { rows }, now) {
  if (!series || series.lastAt === null || rows.length === 0) return 0;
  const silence = Math.max(0, now - series.lastAt);
  const missing = rows instanceof Windows ? rows.gapFrom() : gapFrom(rows);
  const isGap = series.status === null ? silence > missing : series.status !== 'online';
  return isGap ? silence : 0;
}

/**
 * @param {import('./series.js').Columns} columns
 * @param {number} first
 * @param {number} end one past the last
 * @returns {Summary | null}
 */
function ofReadings(columns, first, end) {
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
  return {
    count,
    min: at(columns.v, low),
    minAt: at(columns.t, low),
    max: at(columns.v, high),
    maxAt: at(columns.t, high),
    avg: sum / count,
    gaps,
    gapMs,
    onOff,
  };
}

/**
 * @param {Windows} windows
 * @param {number} first
 * @param {number} end one past the last
 * @returns {Summary | null}
 */
function ofWindows(windows, first, end) {
  if (end <= first) return null;
  const missing = windows.gapFrom();
  let [low, high] = [windows.at(first), windows.at(first)];
  let [count, avg, gaps, gapMs] = [0, 0, 0, 0];
  for (let i = first; i < end; i += 1) {
    const window = windows.at(i);
    count += window.count;
    avg += ((window.v - avg) * window.count) / count;
    if (window.low < low.low) low = window;
    if (window.high > high.high) high = window;
    const silence = i > first ? window.t - windows.at(i - 1).t - windows.window : 0;
    if (silence > 0 && silence >= missing) {
      gaps += 1;
      gapMs += silence;
    }
  }
  const [min, max] = [low.low, high.high];
  return { count, min, minAt: low.t, max, maxAt: high.t, avg, gaps, gapMs, onOff: false };
}

/**
 * @param {Float64Array} column
 * @param {number} i within it
 */
const at = (column, i) => /** @type {number} */ (column[i]);

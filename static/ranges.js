/** The ranges a chart offers, and the stretch of time that each means at a moment. */

import { midnight } from './format.js';

/**
 * @typedef {object} Range
 * @property {string} name in the URL
 * @property {string} label
 * @property {number} hours how long it is
 * @property {boolean} live it ends now; else it is the last whole day
 */

/** @typedef {{from: number, to: number}} Span in ms since 1970 */

/** @param {string} name @param {string} label @param {number} hours @returns {Range} */
const untilNow = (name, label, hours) => ({ name, label, hours, live: true });

const FIRST = untilNow('1h', '1\u202fh', 1);

/** @type {Range[]} */
export const RANGES = [
  FIRST,
  untilNow('6h', '6\u202fh', 6),
  untilNow('24h', '24\u202fh', 24),
  untilNow('7d', '7\u202fd', 168),
  untilNow('30d', '30\u202fd', 720),
  untilNow('1y', '1\u202fy', 8760),
  { name: 'yesterday', label: 'Yesterday', hours: 24, live: false },
];

const HOUR_MS = 3_600_000;
/** Half a day before midnight it is surely the day before, whatever the clocks are set to. */
const DAY_BEFORE_MS = 12 * HOUR_MS;

/** What a young series is shown over: its line should fill the chart, its axis not creep. */
const YOUNG_MINUTES = [2, 5, 10, 20, 40, 60, 120, 240, 480, 960, 1440, 2880, 5760];

/** @param {Range} range @param {number} now @returns {Span} */
export function spanOf(range, now) {
  if (range.live) return { from: now - range.hours * HOUR_MS, to: now };
  const to = midnight(now);
  return { from: midnight(to - DAY_BEFORE_MS), to };
}

/**
 * The span for a series whose first reading was so long ago, when the range reaches further back.
 * @param {number} age of the series in ms
 * @param {number} span of the chosen range in ms
 */
export function youngSpan(age, span) {
  const fitting = YOUNG_MINUTES.find((minutes) => minutes * 60_000 >= age);
  return Math.min(span, (fitting ?? Infinity) * 60_000);
}

/** @param {string} name @returns {Range} the first when there is no such range */
export const rangeNamed = (name) => RANGES.find((range) => range.name === name) ?? FIRST;

/** @param {number} ms @returns {Range | null} the smallest that reaches back so far */
export const rangeFor = (ms) =>
  RANGES.find((range) => range.live && range.hours * HOUR_MS > ms) ?? null;

/**
 * A zoom as the URL says it.
 * @param {{from: string, to: string}} route
 * @returns {Span | null}
 */
export function zoomOf(route) {
  const [from, to] = [Number(route.from), Number(route.to)];
  return route.from !== '' && Number.isSafeInteger(from) && Number.isSafeInteger(to) && from < to
    ? { from, to } : null;
}

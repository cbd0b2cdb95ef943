/** The ranges a chart offers: each reaches from so many hours ago to now. */

/** @typedef {{name: string, label: string, hours: number}} Range */

/** @type {Range[]} */
export const RANGES = [
  { name: '1h', label: '1\u202fh', hours: 1 },
  { name: '6h', label: '6\u202fh', hours: 6 },
  { name: '24h', label: '24\u202fh', hours: 24 },
  { name: '7d', label: '7\u202fd', hours: 168 },
];

/** @type {Range} */
const FIRST = { name: '1h', label: '1\u202fh', hours: 1 };

/** What a young series is shown over: its line should fill the chart, its axis not creep. */
const YOUNG_MINUTES = [2, 5, 10, 20, 40, 60, 120, 240, 480, 960, 1440, 2880, 5760];

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
export const rangeFor = (ms) => RANGES.find((range) => range.hours * 3_600_000 > ms) ?? null;

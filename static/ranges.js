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

/** @param {string} name @returns {Range} the first when there is no such range */
export const rangeNamed = (name) => RANGES.find((range) => range.name === name) ?? FIRST;

/** @param {number} ms @returns {Range | null} the smallest that reaches back so far */
export const rangeFor = (ms) => RANGES.find((range) => range.hours * 3_600_000 > ms) ?? null;

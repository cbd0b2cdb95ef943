/**
 * Every series the page knows, with its last value and its statistics.
 *
 * Live readings change the last value at once; counts and extremes come from the server only, which
 * counts each reading exactly once. A last value never gives way to one measured earlier.
 */

import { decimalsOf } from './format.js';
import { Seam } from './seam.js';
import { Spark } from './spark.js';

/** Of so many series sparklines are kept. */
const SPARKS_MOST = 1000;
/** Live readings remembered for the history of a sparkline: at 10 Hz its answer may take 25 s. */
const RECENT_MOST = 256;

/** Rates are counted over one to two of these. */
const RATE_MS = 60_000;
const RATE_MS_LEAST = 8000;
const RATE_COUNT_LEAST = 5;

/** @typedef {{at: number, count: number}} Mark a count at a time */

export class Series {
  /** @param {string} id @param {string} type */
  constructor(id, type) {
    this.key = keyOf(id, type);
    this.id = id;
    this.type = type;
    this.unit = '';
    /** @type {string | null} */
    this.location = null;
    /** @type {object} */
    this.metadata = {};
    /** As many as values were seen with, so that they align. */
    this.decimals = 0;
    /** @type {number | null} */ this.min = null;
    /** @type {number | null} */ this.max = null;
    /** @type {number | null} */ this.avg = null;
    /** @type {number | null} */ this.stddev = null;
    /** null: not told yet. @type {number | null} */
    this.count = null;
    /** @type {number | null} */ this.last = null;
    /** When the last value was measured, in ms since 1970. @type {number | null} */
    this.lastAt = null;
    /** In which flow of live readings the last one came. */
    this.heardIn = 0;
    /** What the server says; null: nothing. @type {string | null} */
    this.status = null;
    /** The last minutes; null until somebody looks. @type {Seam<Spark> | null} */
    this.minutes = null;
    /** @type {Mark | null} */ this.mark = null;
    /** @type {Mark | null} */ this.nextMark = null;
    /** Readings per second as counted by the server; null: too few to say. @type {number | null} */
    this.counted = null;
  }

  get spark() {
    return this.minutes?.shown ?? null;
  }

  /** A thing that is on or off: its line has steps. */
  get isOnOff() {
    return this.decimals === 0 && (this.min ?? -1) >= 0 && (this.max ?? 2) <= 1;
  }

  /**
   * Decimals more than a value that a mean needs: one between whole numbers, two between off and
   * on. None where there is only one value, nor where a whole one says enough.
   */
  get meanDecimals() {
    if (this.decimals > 0 || this.min === this.max) return 0;
    if (this.isOnOff) return 2;
    return Math.max(Math.abs(this.min ?? 0), Math.abs(this.max ?? 0)) < 1000 ? 1 : 0;
  }

  /** Readings per second; null when too little is known. */
  get rate() {
    if (this.counted !== null) return this.counted;
    const s = this.spark?.rows;
    if (!s || s.length < 2) return null;
    const span = s.newest - /** @type {number} */ (s.t[s.from]);
    return span > 0 ? ((s.length - 1) * 1000) / span : null;
  }

  /** The statistics come up to a second after the value, which no bound of theirs may exclude. */
  includeLast() {
    if (this.last === null) return;
    if (this.min !== null) this.min = Math.min(this.min, this.last);
    if (this.max !== null) this.max = Math.max(this.max, this.last);
  }

  /** @param {number | null} value */
  learnDecimals(value) {
    if (value !== null) this.decimals = Math.max(this.decimals, decimalsOf(value));
  }

  /** @param {number} count @param {number} at */
  learnRate(count, at) {
    const now = { at, count };
    if (!this.mark || count < this.mark.count) {
      [this.mark, this.nextMark, this.counted] = [now, now, null];
    }
    const [span, more] = [at - this.mark.at, count - this.mark.count];
    if (span >= RATE_MS_LEAST && more >= RATE_COUNT_LEAST) this.counted = (more * 1000) / span;
    else if (span >= RATE_MS) this.counted = null;
    if (this.nextMark && at - this.nextMark.at >= RATE_MS) {
      [this.mark, this.nextMark] = [this.nextMark, now];
    }
  }
}

/**
 * One text for id and type together; the length keeps any two pairs apart.
 * @param {string} id
 * @param {string} type
 */
export const keyOf = (id, type) => `${id.length}:${id}${type}`;

export class Catalogue {
  /** @param {(series: Series, from: string, to: string) => void} turned another status */
  constructor(turned = () => {}) {
    this.turned = turned;
    /** @type {Map<string, Series>} */
    this.series = new Map();
    /** Those with something new to draw. @type {Set<Series>} */
    this.changed = new Set();
    /** Raised when a series came, went or moved: the order of the list is another. */
    this.order = 0;
    /** Those that keep a sparkline, the longest unseen first. @type {Set<Series>} */
    this.sparks = new Set();
    /** Live readings come, and how often they have begun to. */
    this.flows = false;
    this.flow = 0;
  }

  /** Readings counted by the server in all series. */
  get total() {
    let total = 0;
    for (const one of this.series.values()) total += one.count ?? 0;
    return total;
  }

  /** @param {string} id @param {string} type */
  find(id, type) {
    return this.series.get(keyOf(id, type)) ?? null;
  }

  /** @param {string} id @returns {Series[]} all its types, in their order */
  allOf(id) {
    const found = [...this.series.values()].filter((one) => one.id === id);
    return found.sort((a, b) => (a.type < b.type ? -1 : 1));
  }

  /** @param {string} id @param {string} type */
  open(id, type) {
    const key = keyOf(id, type);
    let one = this.series.get(key);
    if (!one) {
      one = new Series(id, type);
      this.series.set(key, one);
      this.order += 1;
    }
    return one;
  }

  /**
   * Counts only grow and last values get newer: other rows are older ones, but in the whole list.
   * That knows of series that were deleted and came back, and of another data set.
   *
   * @param {import('./events.js').Row[]} rows
   * @param {{at: number, whole: boolean}} how `at`: when they came, in ms
   */
  applyRows(rows, { at, whole }) {
    for (const row of rows) {
      const one = this.open(row.id, row.type);
      this.changed.add(one);
      const known = whole && one.heardIn !== this.flow ? null : one.lastAt;
      if (row.lastAt !== null && row.last !== null && row.lastAt >= (known ?? -Infinity)) {
        this.takeLast(one, row, row.last, row.lastAt);
      }
      if (!whole && row.count < (one.count ?? 0)) continue;
      one.min = row.min;
      one.max = row.max;
      one.avg = row.avg;
      one.stddev = row.stddev;
      one.count = row.count;
      this.turn(one, row.status);
      one.learnRate(row.count, at);
      one.learnDecimals(row.min);
      one.learnDecimals(row.max);
      one.includeLast();
    }
  }

  /** @param {import('./events.js').Reading} reading */
  applyReading(reading) {
    const one = this.open(reading.id, reading.type);
    one.heardIn = this.flow;
    one.minutes?.take(reading);
    if (reading.at >= (one.lastAt ?? -Infinity)) {
      this.takeLast(one, reading, reading.value, reading.at);
    }
    this.changed.add(one);
    return one;
  }

  /**
   * @param {Series} one
   * @param {{unit: string, location: string | null, metadata: object}} attributes
   * @param {number} value
   * @param {number} at
   */
  takeLast(one, attributes, value, at) {
    if (one.location !== attributes.location) this.order += 1;
    one.unit = attributes.unit;
    one.location = attributes.location;
    one.metadata = attributes.metadata;
    one.last = value;
    one.lastAt = at;
    one.includeLast();
    one.learnDecimals(value);
  }

  /** @param {string} id @param {string | null} type @param {string | null} status */
  applyStatus(id, type, status) {
    for (const one of this.allOf(id)) {
      if (type !== null && one.type !== type) continue;
      this.turn(one, status);
      this.changed.add(one);
    }
  }

  /** @param {Series} one @param {string | null} status */
  turn(one, status) {
    const before = one.status;
    one.status = status;
    if (before !== null && status !== null && before !== status) this.turned(one, before, status);
  }

  /** @param {string} id */
  remove(id) {
    for (const one of this.allOf(id)) this.drop(one);
  }

  /** @param {Series} one */
  drop(one) {
    this.series.delete(one.key);
    this.sparks.delete(one);
    this.changed.delete(one);
    this.order += 1;
  }

  /** The data set is another: nothing that was told is sure, nor which is the newest. */
  doubt() {
    for (const one of this.series.values()) one.count = one.lastAt = null;
  }

  /**
   * Drops what the server does not know of any more. A series without a count may have begun after
   * its look; where all counts are in doubt, one that has sent since did.
   *
   * @param {import('./events.js').Row[]} rows all there are
   * @returns {Set<string>} sensors of which something was dropped
   */
  keepOnly(rows) {
    const known = new Set(rows.map((row) => keyOf(row.id, row.type)));
    /** @type {Set<string>} */
    const dropped = new Set();
    for (const one of [...this.series.values()]) {
      const isNew = one.count === null && one.lastAt !== null;
      if (known.has(one.key) || isNew) continue;
      this.drop(one);
      dropped.add(one.id);
    }
    return dropped;
  }

  /** Keeps a sparkline for a series that is looked at. @param {Series} one */
  keepSpark(one) {
    this.sparks.delete(one);
    this.sparks.add(one);
    if (one.minutes) return one.minutes;
    const begin = () => {
      const spark = new Spark();
      if (one.last !== null && one.lastAt !== null) spark.add(one.lastAt, one.last);
      return spark;
    };
    one.minutes = new Seam(begin, { most: RECENT_MOST, flows: this.flows });
    if (this.sparks.size > SPARKS_MOST) {
      const [unseen] = this.sparks;
      if (unseen) unseen.minutes = null;
      if (unseen) this.sparks.delete(unseen);
    }
    return one.minutes;
  }

  /** Live readings come from here on. */
  join() {
    this.flows = true;
    this.flow += 1;
    for (const one of this.sparks) one.minutes?.join();
  }

  /** They do not any more. */
  part() {
    this.flows = false;
    for (const one of this.sparks) one.minutes?.part();
  }

  /** Some were not delivered. @param {number | null} shard of this one; null: not said which */
  tear(shard) {
    for (const one of this.sparks) one.minutes?.tear(shard);
  }

  /** Another data set: what is on show is of the one before. */
  reset() {
    for (const one of this.sparks) one.minutes?.reset();
    this.part();
  }

  /** @returns {Set<Series>} what changed since the last call */
  takeChanged() {
    const changed = this.changed;
    this.changed = new Set();
    return changed;
  }
}

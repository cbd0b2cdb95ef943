/**
 * Every series the page knows, with its last value and its statistics.
 *
 * Live readings change the last value at once; counts and extremes come from the server only, which
 * counts each reading exactly once. A last value never gives way to one measured earlier.
 */

import { decimalsOf } from './format.js';
import { Columns } from './series.js';

/** Sparklines show this much, from at most so many readings, of at most so many series. */
export const SPARK_MS = 300_000;
export const SPARK_READINGS = 512;
const SPARKS_MOST = 1000;
/** Readings nearer than this would share a sparkline's pixel: the newer takes the older's place. */
const SPARK_STEP_MS = 600;

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
    /** What the server says; null: nothing. @type {string | null} */
    this.status = null;
    /** The last minutes; null until somebody looks. @type {Columns | null} */
    this.spark = null;
    /** @type {Mark | null} */ this.mark = null;
    /** @type {Mark | null} */ this.nextMark = null;
    /** Readings per second as counted by the server; null: too few to say. @type {number | null} */
    this.counted = null;
  }

  /** A thing that is on or off: its line has steps. */
  get isOnOff() {
    return this.decimals === 0 && (this.min ?? -1) >= 0 && (this.max ?? 2) <= 1;
  }

  /** Decimals more than a value that a mean needs: between off and on there is much. */
  get meanDecimals() {
    return this.isOnOff ? 2 : 0;
  }

  /** Readings per second; null when too little is known. */
  get rate() {
    if (this.counted !== null) return this.counted;
    const s = this.spark;
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
  constructor() {
    /** @type {Map<string, Series>} */
    this.series = new Map();
    /** Those with something new to draw. @type {Set<Series>} */
    this.changed = new Set();
    /** Raised when a series came, went or moved: the order of the list is another. */
    this.order = 0;
    /** Those that keep a sparkline, the longest unseen first. @type {Set<Series>} */
    this.sparks = new Set();
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

  /** @param {import('./events.js').Row[]} rows @param {number} at ms, when they came */
  applyRows(rows, at) {
    for (const row of rows) {
      const one = this.open(row.id, row.type);
      one.min = row.min;
      one.max = row.max;
      one.avg = row.avg;
      one.stddev = row.stddev;
      one.count = row.count;
      one.status = row.status;
      one.learnRate(row.count, at);
      one.learnDecimals(row.min);
      one.learnDecimals(row.max);
      if (row.lastAt !== null && row.last !== null && row.lastAt >= (one.lastAt ?? -Infinity)) {
        this.takeLast(one, row, row.last, row.lastAt);
      }
      one.includeLast();
      this.changed.add(one);
    }
  }

  /** @param {import('./events.js').Reading} reading */
  applyReading(reading) {
    const one = this.open(reading.id, reading.type);
    if (one.spark) addToSpark(one.spark, reading.at, reading.value);
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
      one.status = status;
      this.changed.add(one);
    }
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

  /**
   * The data set is another one: what the server does not know of any more is gone, and what it
   * says of the rest is right, however new what was shown is.
   * @param {import('./events.js').Row[]} rows all there are
   */
  keepOnly(rows) {
    const known = new Set(rows.map((row) => keyOf(row.id, row.type)));
    for (const one of [...this.series.values()]) {
      if (known.has(one.key)) {
        one.lastAt = null;
      } else {
        this.drop(one);
      }
    }
  }

  /** Keeps a sparkline for a series that is looked at. @param {Series} one */
  keepSpark(one) {
    this.sparks.delete(one);
    this.sparks.add(one);
    if (one.spark) return one.spark;
    one.spark = new Columns(SPARK_READINGS);
    if (one.last !== null && one.lastAt !== null) one.spark.push(one.lastAt, one.last);
    if (this.sparks.size > SPARKS_MOST) {
      const [unseen] = this.sparks;
      if (unseen) unseen.spark = null;
      if (unseen) this.sparks.delete(unseen);
    }
    return one.spark;
  }

  /**
   * Puts history before what has come live since.
   * @param {Series} one
   * @param {Columns} past
   */
  seedSpark(one, past) {
    const live = this.keepSpark(one);
    const whole = new Columns(SPARK_READINGS);
    const start = past.newest - SPARK_MS;
    for (let i = past.indexAfter(start); i < past.to; i += 1) {
      addToSpark(whole, /** @type {number} */ (past.t[i]), /** @type {number} */ (past.v[i]));
    }
    for (let i = live.indexAfter(past.newest); i < live.to; i += 1) {
      addToSpark(whole, /** @type {number} */ (live.t[i]), /** @type {number} */ (live.v[i]));
    }
    one.spark = whole;
    this.changed.add(one);
  }

  /** @returns {Set<Series>} what changed since the last call */
  takeChanged() {
    const changed = this.changed;
    this.changed = new Set();
    return changed;
  }
}

/** @param {Columns} spark @param {number} at @param {number} value */
function addToSpark(spark, at, value) {
  const older = spark.length > 1 ? /** @type {number} */ (spark.t[spark.to - 2]) : -Infinity;
  if (at >= spark.newest && at - older < SPARK_STEP_MS) spark.replaceNewest(at, value);
  else spark.push(at, value);
  spark.dropBefore(spark.newest - SPARK_MS - 60_000);
}

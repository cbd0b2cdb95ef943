/** The last minutes of one series, as far as a sparkline's pixels can tell readings apart. */

import { Reached } from './position.js';
import { Columns } from './series.js';

/** Sparklines show this much, from at most so many readings. */
export const SPARK_MS = 300_000;
export const SPARK_READINGS = 512;
/** Kept beyond what is shown, so that a line runs to the edge. */
const MARGIN_MS = 60_000;
/** Readings nearer than this would share a sparkline's pixel: the newer takes the older's place. */
const STEP_MS = 600;

export class Spark {
  /** @param {Map<number, import('./position.js').Position>} token how far `past` reaches */
  constructor(token = new Map(), past = new Columns(1)) {
    this.token = token;
    this.reached = new Reached(token);
    this.rows = new Columns(SPARK_READINGS);
    /** After these times readings may be missing. @type {number[]} */
    this.tears = [];
    for (let i = past.indexAfter(past.newest - SPARK_MS); i < past.to; i += 1) {
      this.add(/** @type {number} */ (past.t[i]), /** @type {number} */ (past.v[i]));
    }
  }

  /** @param {import('./events.js').Reading} reading */
  take(reading) {
    if (this.reached.takes(reading)) this.add(reading.at, reading.value);
  }

  /** @param {number} at @param {number} value */
  add(at, value) {
    const { rows } = this;
    const older = rows.length > 1 ? /** @type {number} */ (rows.t[rows.to - 2]) : -Infinity;
    const near = at - older < STEP_MS && !this.tears.includes(rows.newest);
    if (at === rows.newest || (at > rows.newest && near)) rows.replaceNewest(at, value);
    else rows.push(at, value);
    rows.dropBefore(rows.newest - SPARK_MS - MARGIN_MS);
    while (/** @type {number} */ (this.tears[0]) < rows.newest - SPARK_MS) this.tears.shift();
  }

  tear() {
    const { newest } = this.rows;
    if (this.rows.length > 0 && this.tears.at(-1) !== newest) this.tears.push(newest);
  }
}

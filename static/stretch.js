/**
 * The answer to one question: a series over a stretch of time, as readings or as windows, with how
 * far it surely reaches. What comes live after that goes on it.
 */

import { now } from './clock.js';
import { Reached } from './position.js';
import { Columns, lineOf } from './series.js';
import { bandOf, Windows } from './windows.js';

/** Rows kept: the longest answer, and three times as much that came live since. */
export const ROWS_MOST = 40_000;

/** Where history could not be had for so many losses, the oldest is taken for whole again. */
const TEARS_MOST = 100;

/** @type {Map<import('./question.js').Resolution, number>} */
const WINDOW_MS = new Map([['1m', 60_000], ['1h', 3_600_000]]);

/** @typedef {Map<number, import('./position.js').Position>} Token */

export class Stretch {
  /**
   * @param {import('./question.js').Question} question
   * @param {import('./question.js').Resolution} resolution
   * @param {Token} token what is at or before it is in the answer
   */
  constructor(question, resolution, token) {
    this.question = question;
    this.resolution = resolution;
    this.token = token;
    this.reached = new Reached(token);
    /** After these times something may be missing. @type {number[]} */
    this.tears = [];
    const length = WINDOW_MS.get(resolution) ?? null;
    /** Length of the windows in ms; null: these are readings. */
    this.window = length;
    this.rows = length === null ? new Columns(ROWS_MOST) : new Windows(length, ROWS_MOST);
    /** How many came live. */
    this.added = 0;
  }

  /** @param {import('./events.js').Reading} reading of this series */
  take(reading) {
    if (!this.reached.takes(reading)) return;
    if (!this.question.live && reading.at >= (this.question.to ?? Infinity)) return;
    this.rows.push(reading.at, reading.value);
    this.added += 1;
  }

  /** What comes from here on may not be all: the line must not claim to know what lies between. */
  tear() {
    const { rows } = this;
    if (!(rows instanceof Columns) || rows.length === 0) return;
    if (this.tears.at(-1) !== rows.newest) this.tears.push(rows.newest);
    if (this.tears.length > TEARS_MOST) this.tears.shift();
  }

  /** When the first reading was, or its window began; null: there is none. */
  get first() {
    const { rows } = this;
    if (rows.length === 0) return null;
    return rows instanceof Windows ? rows.first : /** @type {number} */ (rows.t[rows.from]);
  }

  /** How many readings the rows stand for. */
  get count() {
    const { rows } = this;
    if (!(rows instanceof Windows)) return rows.length;
    return rows.all.reduce((sum, window) => sum + window.count, 0);
  }

  /**
   * Whether the server must have left windows out to keep to `points`; of readings only their
   * number can tell.
   */
  get thinsWindows() {
    const { from, to, points } = this.question;
    return this.window !== null && ((to ?? now()) - from) / this.window > points;
  }

  /** @param {number} from @param {number} to @returns {import('./windows.js').Lines} */
  lines(from, to) {
    const { rows } = this;
    return rows instanceof Windows ? bandOf(rows, from, to)
      : lineOf(rows, { from, to, tears: this.tears });
  }
}

/** Before any answer, to a question that was not asked: what comes live is all there is. */
export function unasked() {
  const resolution = /** @type {const} */ ('auto');
  return new Stretch({ from: 0, to: null, live: true, points: 0, resolution }, 'raw', new Map());
}

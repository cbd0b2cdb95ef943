/**
 * What the chart's own answer cannot tell of its range. Thinned to the chart's width it has every
 * peak, but not every reading: how many there are and their mean come from windows, which are few,
 * and the percentiles from the server.
 */

import { Continued } from './continued.js';
import { readPercentiles } from './percentiles.js';
import { POINTS_MOST } from './question.js';
import { summarise } from './statistics.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Up to this span the windows are minutes: well below what one answer may have. */
const MINUTES_SPAN_MOST = 48 * HOUR_MS;

/** @typedef {import('./stretch.js').Stretch} Stretch */

export class Sums {
  /** @param {boolean} flows live readings come already */
  constructor(flows) {
    /** Windows of the range; not asked for where the chart's rows are all there is. */
    this.windows = new Continued(flows);
    /** The chart's answer has been thinned; null: not known yet. @type {boolean | null} */
    this.thinned = null;
    /** @type {import('./percentiles.js').Percentiles} */
    this.percentiles = null;
  }

  /** Another range: nothing is known of it. */
  forget() {
    this.windows.clear();
    this.thinned = null;
    this.percentiles = null;
  }

  /**
   * @param {import('./catalogue.js').Series | {id: string, type: string, count: null}} series
   * @param {Stretch} line the chart's answer
   * @param {number} now ms since 1970
   * @param {AbortSignal} signal
   */
  async load(series, line, now, signal) {
    const percentiles = this.loadPercentiles(series, line, signal);
    const { question } = line;
    const surelyWhole = line.window === null
      ? series.count !== null && series.count <= question.points : !line.thinsWindows;
    if (surelyWhole) {
      this.thinned = false;
    } else {
      await this.windows.load(series, windowsOf(question, now), signal);
      const whole = summarise(this.windows.shown, question.from, Infinity);
      // The server thins when there are more than was asked for, and only then.
      this.thinned = line.window !== null || (whole?.count ?? 0) > question.points;
    }
    await percentiles;
  }

  /**
   * @param {{id: string, type: string}} series
   * @param {Stretch} line
   * @param {AbortSignal} signal
   */
  async loadPercentiles(series, line, signal) {
    // The server answered with windows because the readings do not reach so far back.
    const known = line.window === null
      ? await readPercentiles(series, line.question, signal) : 'beyond';
    if (!signal.aborted) this.percentiles = known;
  }

  /** @param {import('./events.js').Reading} reading */
  take(reading) {
    this.windows.take(reading);
  }

  /**
   * The stretch whose count and mean are those of the range; null: not known yet.
   * @param {Stretch} line
   */
  of(line) {
    if (this.thinned === null) return null;
    return this.thinned ? this.windows.shown : line;
  }
}

/**
 * All whole windows within the range of a question.
 * @param {import('./question.js').Question} question
 * @param {number} now
 * @returns {import('./question.js').Question}
 */
function windowsOf({ from, to, live }, now) {
  const minutes = (to ?? now) - from <= MINUTES_SPAN_MOST;
  const length = minutes ? MINUTE_MS : HOUR_MS;
  const end = live || to === null ? null : Math.max(from + 1, Math.floor(to / length) * length);
  return { from, to: end, live, points: POINTS_MOST, resolution: minutes ? '1m' : '1h' };
}

/** Percentiles of a range: the server knows them, as long as it keeps the readings. */

import { ask, Refused } from './api.js';
import { addressOf } from './question.js';

/** Those the table shows. */
export const SHOWN = /** @type {const} */ ([50, 95, 99]);
/** The rows of the answer are not looked at. */
const POINTS = 2;

/**
 * By percentile; `beyond`: the range reaches beyond the readings that are kept; null: not known.
 * @typedef {Map<number, number> | 'beyond' | null} Percentiles
 */

/**
 * @param {{id: string, type: string}} series
 * @param {import('./question.js').Question} question the range
 * @param {AbortSignal} signal
 * @returns {Promise<Percentiles>}
 */
export async function readPercentiles(series, question, signal) {
  const wanted = { percentiles: SHOWN.join(',') };
  const brief = { ...question, points: POINTS, resolution: /** @type {const} */ ('raw') };
  try {
    const answer = await ask(addressOf(series, brief, wanted), signal);
    const byType = mapOf(answer.percentiles);
    /** @type {Map<number, number>} */
    const known = new Map();
    for (const [name, value] of mapOf(byType.get(series.type))) {
      if (typeof value === 'number') known.set(Number(name), value);
    }
    return known;
  } catch (error) {
    return error instanceof Refused && error.status === 400 ? 'beyond' : null;
  }
}

/** @param {unknown} it @returns {Map<string, unknown>} */
const mapOf = (it) => new Map(typeof it === 'object' && it !== null ? Object.entries(it) : []);

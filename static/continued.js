/** The answer to a question, continued live: a seam that asks the server. */

import { readPast } from './past.js';
import { Seam } from './seam.js';
import { unasked } from './stretch.js';

/** Live readings remembered for the next answer; a slow one must not cost memory. */
const RECENT_MOST = 20_000;

/** @extends {Seam<import('./stretch.js').Stretch>} */
export class Continued extends Seam {
  /** @param {boolean} flows live readings come already */
  constructor(flows) {
    super(unasked, { most: RECENT_MOST, flows });
  }

  /**
   * @param {{id: string, type: string}} series
   * @param {import('./question.js').Question} question
   * @param {AbortSignal} signal
   */
  async load(series, question, signal) {
    const ticket = this.ask();
    try {
      const next = await readPast(series, question, signal);
      signal.throwIfAborted();
      this.answer(ticket, next);
    } catch (error) {
      this.fail(ticket);
      throw error;
    }
  }
}

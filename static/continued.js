/**
 * The answer to a question, continued live without a seam: what comes while the answer is on its
 * way is held, and the answer takes of it what it does not have already.
 */

import { readPast } from './past.js';
import { unasked } from './stretch.js';

/** @typedef {import('./events.js').Reading} Reading */

/** Live readings kept while an answer is on its way; a slow one must not cost memory. */
const HELD_MOST = 20_000;

export class Continued {
  constructor() {
    /** What is on show, also while the next answer is on its way. */
    this.stretch = unasked();
    /** For the next answer; null: none is on its way. @type {Reading[] | null} */
    this.held = null;
  }

  /**
   * @param {{id: string, type: string}} series
   * @param {import('./question.js').Question} question
   * @param {AbortSignal} signal
   */
  async load(series, question, signal) {
    /** @type {Reading[]} */
    const held = [];
    this.held = held;
    try {
      const next = await readPast(series, question, signal);
      signal.throwIfAborted();
      for (const reading of held) next.take(reading);
      this.stretch = next;
    } finally {
      if (this.held === held) this.held = null;
    }
  }

  /** @param {Reading} reading of the series on show */
  take(reading) {
    if (this.held && this.held.length < HELD_MOST) this.held.push(reading);
    this.stretch.take(reading);
  }
}

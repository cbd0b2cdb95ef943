/** The last minutes of every card on the screen, from the server. */

import { SPARK_MS, SPARK_READINGS } from './catalogue.js';
import { now } from './clock.js';
import { readPast } from './past.js';
import { Columns } from './series.js';

/** More cards than this on the page start with what comes live. */
export const SEEDS_MOST = 60;
const SEEDS_AT_ONCE = 2;

/** Fetches the sparklines of cards on the screen, a few at a time, each once per connection. */
export class Seeds {
  /** @param {import('./catalogue.js').Catalogue} catalogue */
  constructor(catalogue) {
    this.catalogue = catalogue;
    /** @type {Set<string>} keys that have been asked for */
    this.asked = new Set();
    /** @type {import('./catalogue.js').Series[]} */
    this.queue = [];
    this.running = 0;
  }

  /** After a loss of the connection: what was missed is worth asking for again. */
  forget() {
    this.asked.clear();
    this.queue = [];
  }

  /**
   * A series that the server has not counted yet has no history to ask for: live readings begin it.
   * @param {import('./catalogue.js').Series} series
   */
  want(series) {
    if (series.count === null) return;
    if (this.asked.has(series.key) || this.catalogue.series.size > SEEDS_MOST) return;
    this.asked.add(series.key);
    this.queue.push(series);
    this.pump();
  }

  pump() {
    while (this.running < SEEDS_AT_ONCE) {
      const next = this.queue.shift();
      if (!next) return;
      this.running += 1;
      this.seed(next).finally(() => {
        this.running -= 1;
        this.pump();
      });
    }
  }

  /** @param {import('./catalogue.js').Series} series */
  async seed(series) {
    // A sensor that has been silent for longer than a sparkline shows has nothing to fetch.
    if (series.lastAt === null || Date.now() - series.lastAt > 2 * SPARK_MS) return;
    try {
      const question = {
        from: now() - SPARK_MS, to: null, live: true, points: SPARK_READINGS,
        resolution: /** @type {const} */ ('raw'),
      };
      const { rows } = await readPast(series, question);
      if (rows instanceof Columns) this.catalogue.seedSpark(series, rows);
    } catch {
      // A sparkline that starts empty is no failure worth a word: it fills as readings come.
    }
  }
}

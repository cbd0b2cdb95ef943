/** The last minutes of every card on the screen, from the server. */

import { now } from './clock.js';
import { readPast } from './past.js';
import { Columns } from './series.js';
import { Spark, SPARK_MS, SPARK_READINGS } from './spark.js';

/** @typedef {import('./catalogue.js').Series} Series */

/** More cards than are ever on a screen: those that wait longest were scrolled past. */
const WAITING_MOST = 100;
const SEEDS_AT_ONCE = 2;
/** One that could not be had is asked for again after this, then twice that, so many times. */
const RETRY_MS_FIRST = 2000;
const TRIES_MOST = 6;

/** Fetches the sparklines of cards on the screen, a few at a time, each once per connection. */
export class Seeds {
  /** @param {import('./catalogue.js').Catalogue} catalogue */
  constructor(catalogue) {
    this.catalogue = catalogue;
    /** How often each has been asked for since live readings come, and when it may be again. */
    /** @type {Map<string, {tries: number, againAt: number}>} */
    this.asked = new Map();
    /** @type {Set<Series>} */
    this.queue = new Set();
    this.running = 0;
  }

  /** Live readings come again: what was missed is worth asking for. */
  join() {
    this.catalogue.join();
    this.asked.clear();
  }

  /**
   * A series that the server has not counted yet has no history to ask for: live readings begin it.
   * @param {Series} series
   */
  want(series) {
    if (series.count === null) return;
    if (!this.catalogue.keepSpark(series).wants) return;
    const { tries, againAt } = this.asked.get(series.key) ?? { tries: 0, againAt: 0 };
    if (tries >= TRIES_MOST || Date.now() < againAt) return;
    this.queue.add(series);
    const [longest] = this.queue;
    if (this.queue.size > WAITING_MOST && longest) this.queue.delete(longest);
    this.pump();
  }

  pump() {
    while (this.running < SEEDS_AT_ONCE) {
      const [next] = this.queue;
      if (!next) return;
      this.queue.delete(next);
      this.running += 1;
      this.seed(next).finally(() => {
        this.running -= 1;
        this.pump();
      });
    }
  }

  /** @param {Series} series */
  async seed(series) {
    // A sensor that has been silent for longer than a sparkline shows has nothing to fetch.
    if (series.lastAt === null || now() - series.lastAt > 2 * SPARK_MS) return;
    const { tries } = this.asked.get(series.key) ?? { tries: 0 };
    const againAt = Date.now() + RETRY_MS_FIRST * 2 ** tries;
    this.asked.set(series.key, { tries: tries + 1, againAt });
    const minutes = this.catalogue.keepSpark(series);
    const ticket = minutes.ask();
    try {
      const question = {
        from: now() - SPARK_MS, to: null, live: true, points: SPARK_READINGS,
        resolution: /** @type {const} */ ('raw'),
      };
      const { rows, token } = await readPast(series, question);
      const past = rows instanceof Columns ? rows : undefined;
      if (minutes.answer(ticket, new Spark(token, past))) this.catalogue.changed.add(series);
    } catch {
      // A sparkline that starts empty is no failure worth a word: it fills as readings come.
      minutes.fail(ticket);
    }
  }
}

/** Readings of the past, from the server: for a chart the whole range, for a card a few minutes. */

import { ask, Refused } from './api.js';
import { SPARK_MS } from './catalogue.js';
import { listOf, readingOf } from './events.js';
import { parseToken } from './position.js';
import { Columns } from './series.js';

/** What a chart keeps, 16 bytes each: 12 days at one reading per second. */
export const READINGS_MOST = 1 << 20;
/** More cards than this on the page start with what comes live. */
export const SEEDS_MOST = 60;
const SEEDS_AT_ONCE = 2;

/**
 * @typedef {object} Past
 * @property {Columns} columns
 * @property {Map<number, import('./position.js').Position>} token up to where it surely reaches
 * @property {boolean} paged it came in several answers, so it may hold readings beyond the token
 */

/**
 * All readings of one series in the last hours, page after page.
 *
 * @param {{id: string, type: string}} series
 * @param {number} hours
 * @param {AbortSignal} [signal]
 * @returns {Promise<Past>}
 */
export async function readPast(series, hours, signal) {
  if (series.id === '.' || series.id === '..') {
    throw new Refused(0, `The id “${series.id}” cannot be part of an address.`);
  }
  const columns = new Columns(READINGS_MOST);
  const path = `api/sensors/${encodeURIComponent(series.id)}/readings`;
  /** @type {Past['token']} */
  let token = new Map();
  let cursor = '';
  let pages = 0;
  do {
    const asked = new URLSearchParams({ hours: String(hours), type: series.type });
    if (cursor !== '') asked.set('cursor', cursor);
    const answer = await ask(`${path}?${asked.toString()}`, signal);
    for (const reading of listOf(answer.readings, readingOf)) {
      if (reading.type === series.type) columns.push(reading.at, reading.value);
    }
    // The first answer's token: with a later one, a late reading for an earlier page would be lost.
    if (pages === 0) token = tokenOf(answer.position, series.type);
    pages += 1;
    cursor = typeof answer.next === 'string' ? answer.next : '';
  } while (cursor !== '');
  return { columns, token, paged: pages > 1 };
}

/** @param {unknown} byType @param {string} type */
function tokenOf(byType, type) {
  const entries = typeof byType === 'object' && byType !== null ? Object.entries(byType) : [];
  return parseToken(new Map(entries).get(type));
}

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
      const past = await readPast(series, 1);
      this.catalogue.seedSpark(series, past.columns);
    } catch {
      // A sparkline that starts empty is no failure worth a word: it fills as readings come.
    }
  }
}

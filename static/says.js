/**
 * What a screen reader is told, in one polite region. Values, ages and rates are never said; what
 * is: the connection, hits of a search, and sensors that went late or offline or are back. Those
 * are gathered, for a room that loses its power would else be read out sensor by sensor.
 */

import { setText } from './dom.js';

/** Sensors are told of at most this often, and after a moment in which others may follow. */
const TURNS_MS_LEAST = 10_000;
const GATHER_MS = 1500;

/** In this order. @type {[string, string][]} */
const WORDS = [['offline', 'offline'], ['late', 'late'], ['online', 'back']];

/** @typedef {{id: string, from: string, to: string}} Turn of one series */

export class Says {
  /** @param {HTMLElement} region */
  constructor(region) {
    this.region = region;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** Since the last word, by key of the series. @type {Map<string, Turn>} */
    this.turns = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.gathering = undefined;
    this.toldAt = -Infinity;
  }

  /** Once it has settled. @param {string} text @param {number} after ms */
  say(text, after) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => setText(this.region, text), after);
  }

  /** @param {import('./catalogue.js').Series} series @param {string} from @param {string} to */
  turned({ key, id }, from, to) {
    this.turns.set(key, { id, from: this.turns.get(key)?.from ?? from, to });
    if (this.gathering !== undefined) return;
    const rest = this.toldAt + TURNS_MS_LEAST - performance.now();
    this.gathering = setTimeout(() => this.tell(), Math.max(GATHER_MS, rest));
  }

  tell() {
    this.gathering = undefined;
    const text = sentenceOf([...this.turns.values()]);
    this.turns.clear();
    if (text === '') return;
    this.toldAt = performance.now();
    setText(this.region, text);
  }
}

/**
 * “2 sensors offline, 1 back”. A sensor that is as it was is not news; one that measures several
 * things counts once, by the worst of them.
 *
 * @param {Turn[]} turns
 */
export function sentenceOf(turns) {
  /** @type {Set<string>} */
  const told = new Set();
  const parts = WORDS.flatMap(([status, word]) => {
    const ids = new Set(turns.filter(({ id, from, to }) =>
      to === status && from !== to && !told.has(id)).map(({ id }) => id));
    for (const id of ids) told.add(id);
    return ids.size === 0 ? [] : [{ n: ids.size, word }];
  });
  return parts.map(({ n, word }, i) =>
    (i === 0 ? `${n} sensor${n === 1 ? '' : 's'} ${word}` : `${n} ${word}`)).join(', ');
}

/**
 * The list of all series, kept as the server keeps it: asked for as a whole at each (re)connection,
 * changed by what is pushed in between; and the readings per second that come of its counts.
 */

import { ask } from './api.js';
import { learnTime } from './clock.js';
import { listOf, rowOf, timeOf } from './events.js';
import { LISTED_MS_MOST, Removed } from './remove.js';

/** A rate over less would jump; a total that stays for so long says that nothing comes. */
const RATE_MS_LEAST = 900;
const QUIET_MS = 15_000;
/** A list that could not be had is asked for again after this, then twice that, up to the most. */
const RETRY_MS_FIRST = 2000;
const RETRY_MS_MOST = 30_000;
/** The server's table is up to a second old: after a reset one look may be at the one before. */
const SECOND_LOOK_MS = 2500;
/** So many pushes are remembered while the list is on its way; then it is asked for again. */
const MEANWHILE_MOST = 100;

/** @typedef {import('./events.js').Row} Row */

/**
 * @typedef {object} Listener
 * @property {() => void} onList rows were taken
 * @property {(ids: Set<string>) => void} onDropped of these sensors the list has not all series
 * @property {(perSecond: number) => void} onRate readings per second in all
 */

export class Census {
  /** @param {import('./catalogue.js').Catalogue} catalogue @param {Listener} listener */
  constructor(catalogue, listener) {
    this.catalogue = catalogue;
    this.listener = listener;
    this.removed = new Removed();
    /** The server has told of its series, or one has sent. */
    this.loaded = false;
    /** There are more than the list holds. */
    this.hasMore = false;
    /** The server's list is here, and has all there are. */
    this.isWhole = false;
    /** The last question for the list; an answer to another is not looked at. */
    this.ticket = 0;
    /** Pushed while the list is on its way: it may be older. @type {(() => void)[] | null} */
    this.meanwhile = null;
    this.failures = 0;
    /** When the list is to be asked for again; Infinity: it is known. */
    this.dueAt = Infinity;
    /** The data set may be another one than what is shown came from. */
    this.doubtful = false;
    /**
     * The last total that differed, and the rate it came at; null: not known yet.
     * @type {{at: number, total: number, perSecond: number | null} | null}
     */
    this.counted = null;
  }

  /** Asks for the whole list. */
  async read() {
    const ticket = (this.ticket += 1);
    this.meanwhile = [];
    this.dueAt = Infinity;
    try {
      const answer = await ask('api/sensors');
      if (ticket !== this.ticket) return;
      const asOf = timeOf(answer.as_of);
      learnTime(asOf);
      this.failures = 0;
      this.takeAll(this.removed.without(listOf(answer.sensors, rowOf), asOf), answer.next == null);
    } catch {
      // The banner tells of a server that is away; a list on show stays, and goes on live.
      if (ticket !== this.ticket) return;
      this.meanwhile = null;
      this.dueAt = Date.now() + Math.min(RETRY_MS_MOST, RETRY_MS_FIRST * 2 ** this.failures);
      this.failures += 1;
    }
  }

  /** @param {Row[]} rows @param {boolean} complete these are all */
  takeAll(rows, complete) {
    const at = Date.now();
    const dropped = complete ? this.catalogue.keepOnly(rows) : null;
    this.catalogue.applyRows(rows, { at, whole: true });
    this.hasMore = !complete;
    this.isWhole = complete;
    const meanwhile = this.meanwhile ?? [];
    this.meanwhile = null;
    for (const apply of meanwhile) apply();
    if (this.doubtful || meanwhile.length >= MEANWHILE_MOST) this.dueAt = at + SECOND_LOOK_MS;
    this.doubtful = false;
    this.loaded = true;
    if (dropped) this.listener.onDropped(dropped);
    this.listener.onList();
  }

  /** Rows that changed. @param {Row[]} listed @param {number | null} asOf */
  push(listed, asOf) {
    const rows = this.removed.without(listed, asOf);
    // It may be back already, and a row is pushed only once.
    if (rows.length < listed.length) this.dueAt = Math.min(this.dueAt, Date.now() + LISTED_MS_MOST);
    this.apply(() => this.catalogue.applyRows(rows, { at: Date.now(), whole: false }));
    this.loaded = true;
    this.listener.onList();
  }

  /** @param {string} id @param {string | null} type @param {string | null} status */
  pushStatus(id, type, status) {
    this.apply(() => this.catalogue.applyStatus(id, type, status));
  }

  /** @param {() => void} apply now, and behind the list that is on its way */
  apply(apply) {
    if (this.meanwhile && this.meanwhile.length < MEANWHILE_MOST) this.meanwhile.push(apply);
    apply();
  }

  /** Another data set: what is known may not be so any more. */
  reset() {
    this.doubtful = true;
    this.isWhole = false;
    this.catalogue.doubt();
    this.ticket += 1;
    this.meanwhile = null;
  }

  /** Pushed to from now on, for the first time or again. */
  join() {
    this.forgetRate();
    void this.read();
    void this.readRate();
  }

  /** Once a second while connected. */
  tick() {
    if (Date.now() >= this.dueAt) void this.read();
  }

  /** Over a time that nobody counted a rate would be an average that says nothing. */
  forgetRate() {
    this.counted = null;
  }

  /** The server's own rate, until two totals make one. */
  async readRate() {
    const stats = await ask('api/stats').catch(() => null);
    const perSecond = stats?.readings_per_second;
    if (typeof perSecond === 'number' && this.counted?.perSecond == null) {
      this.listener.onRate(perSecond);
    }
  }

  /**
   * Readings per second in all. The counts are the server's, which are up to a second old; only a
   * total that stays for long means that nothing comes.
   */
  learnRate() {
    if (this.hasMore || !this.loaded) return;
    const [at, { total }, before] = [Date.now(), this.catalogue, this.counted];
    if (!before || total < before.total) {
      this.counted = { at, total, perSecond: null };
      return;
    }
    const ms = at - before.at;
    if (total > before.total && ms >= RATE_MS_LEAST) {
      this.counted = { at, total, perSecond: ((total - before.total) * 1000) / ms };
    } else if (total === before.total && ms > QUIET_MS) {
      before.perSecond = 0;
    }
    if (this.counted?.perSecond != null) this.listener.onRate(this.counted.perSecond);
  }
}

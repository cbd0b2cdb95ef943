/**
 * The first of the three steps to live without a seam, and when they begin anew:
 *
 * 1. subscribe: the server pushes whatever it has not committed yet, and from then on everything;
 * 2. ask history for what is on show: it holds what is committed, and says up to where;
 * 3. drop what came live of that (`seam.js`).
 *
 * The steps are gone after each connection, after each `gap` and after each `reset`. A `reset` that
 * was told while the page was away is known by the name of the data set, which each answer to a
 * subscription carries.
 *
 *     away ──opened──▶ subscribing ──granted──▶ flowing ──gap, reset──▶ resting
 *                          ▲                                              │
 *                          └────────────── after a rest ◀─────────────────┘
 *
 * A subscription may itself be followed by a gap, where too much has come since the last commit:
 * in a row of them each rests twice as long as the one before.
 */

/** The first of a row of gaps is answered at once, the second after this, then twice that. */
const REST_MS_FIRST = 1000;
const REST_MS_MOST = 30_000;
/** Steps that nothing disturbed for so long are the first of a row again. */
const CALM_MS = 60_000;
/** A subscription that is not answered for so long: the connection is not worth keeping. */
const GRANT_MS_MOST = 15_000;

export class Steps {
  constructor() {
    /** @type {'away' | 'subscribing' | 'flowing' | 'resting'} */
    this.state = 'away';
    this.subscribedAt = 0;
    /** How many disturbances came in a row, and when the rest after the last one ends. */
    this.inRow = 0;
    this.dueAt = 0;
    /** How the server called the data set last; null: it never did. @type {string | null} */
    this.generation = null;
  }

  /**
   * The server names its data set. After a `reset` that was told it is another name, too, and what
   * came in between is dropped again: it may itself be of a data set that was replaced since.
   *
   * @param {string | null} name null: it does not say; '': it has none yet
   * @returns {boolean} whether it is not the one that was shown
   */
  named(name) {
    if (name === null) return false;
    const isAnother = this.generation !== null && this.generation !== name;
    this.generation = name;
    return isAnother;
  }

  /** A connection stands: subscribe. @param {number} now ms */
  opened(now) {
    this.inRow = 0;
    this.subscribe(now);
  }

  closed() {
    this.state = 'away';
  }

  /** @param {number} now */
  subscribe(now) {
    this.subscribedAt = now;
    this.state = 'subscribing';
  }

  /** The server answers. @returns {boolean} whether that is the second step's turn */
  granted() {
    if (this.state !== 'subscribing') return false;
    this.state = 'flowing';
    return true;
  }

  /**
   * A `gap` or a `reset`. Told before the subscription is answered, it changes nothing: history
   * is asked after that answer.
   *
   * @param {number} now
   * @returns {boolean} whether to subscribe now
   */
  disturbed(now) {
    if (this.state !== 'flowing') return false;
    if (now - this.subscribedAt > CALM_MS) this.inRow = 0;
    const rest = this.inRow === 0 ? 0 : REST_MS_FIRST * 2 ** (this.inRow - 1);
    this.inRow += 1;
    this.dueAt = this.subscribedAt + Math.min(REST_MS_MOST, rest);
    this.state = 'resting';
    return this.isDue(now);
  }

  /** Whether a rest has ended: subscribe. @param {number} now */
  isDue(now) {
    if (this.state !== 'resting' || now < this.dueAt) return false;
    this.subscribe(now);
    return true;
  }

  /** Whether the subscription stays without an answer. @param {number} now */
  isIgnored(now) {
    return this.state === 'subscribing' && now - this.subscribedAt > GRANT_MS_MOST;
  }
}

/**
 * One series on show, from history and live, without a seam: no hole and no double. Where a
 * reading stands in its shard's stream decides, never its time.
 *
 * A state machine without socket, fetch or clock, so that tests drive it through any order:
 *
 *     unasked ──ask──▶ asking ──answer──▶ whole
 *        ▲               ▲ │                │
 *        │             ask fail    part, tear(shard)
 *      reset             │ ▼                ▼
 *        └───────────── torn ◀──────────────┘
 *
 * What tears while an answer is on its way flaws that answer: it is shown, for it is the best there
 * is, and the state after it is `torn`. `torn` means: ask (again) as soon as live flows. An answer
 * to any question but the last one is not looked at.
 *
 * Live readings since the subscription are remembered until an answer covers them, also those from
 * before the question: live runs ahead of what is committed, and history holds only that.
 */

import { covers } from './position.js';

/** @typedef {import('./events.js').Reading} Reading */
/** @typedef {import('./position.js').Position} Position */

/**
 * What can be on show.
 * @typedef {object} Shown
 * @property {(reading: Reading) => void} take a live reading, unless it has it already
 * @property {() => void} tear from here on something may be missing
 * @property {Map<number, Position>} token how far its history reaches; empty: it has none
 * @property {import('./position.js').Reached} reached
 */

/** @template {Shown} T */
export class Seam {
  /**
   * @param {() => T} begin what is on show before any answer
   * @param {{most: number, flows: boolean}} how `most` readings are remembered; live flows already
   */
  constructor(begin, { most, flows }) {
    this.begin = begin;
    this.most = most;
    /** Live readings come, each as the server pushes it. */
    this.flows = flows;
    /** @type {'unasked' | 'asking' | 'whole' | 'torn'} */
    this.state = 'unasked';
    /** On show, also while an answer is on its way. */
    this.shown = begin();
    /** The last question. */
    this.ticket = 0;
    /** Something is missing that the answer on its way may not have. */
    this.flawed = false;
    this.forget();
  }

  /** Live readings that no answer covers yet, and how far those reached that had no room. */
  forget() {
    /** @type {Reading[]} */
    this.recent = [];
    /** @type {Map<number, Position>} */
    this.dropped = new Map();
  }

  /** A question goes out. @returns {number} its ticket, for `answer` or `fail` */
  ask() {
    this.state = 'asking';
    this.flawed = !this.flows;
    return (this.ticket += 1);
  }

  /**
   * @param {number} ticket
   * @param {T} next what history has
   * @returns {boolean} whether it is on show now
   */
  answer(ticket, next) {
    if (ticket !== this.ticket || this.state !== 'asking') return false;
    const { token } = next;
    for (const [shard, position] of this.dropped) {
      if (covers(token, position)) this.dropped.delete(shard);
    }
    this.recent = this.recent.filter((reading) => !covers(token, reading.position));
    for (const reading of this.recent) next.take(reading);
    this.shown = next;
    this.state = this.flawed || this.dropped.size > 0 ? 'torn' : 'whole';
    if (this.state === 'torn') next.tear();
    return true;
  }

  /** @param {number} ticket */
  fail(ticket) {
    if (ticket === this.ticket && this.state === 'asking') this.state = 'torn';
  }

  /** @param {Reading} reading of this series */
  take(reading) {
    this.recent.push(reading);
    if (this.recent.length > this.most) {
      for (const { position } of this.recent.splice(0, Math.ceil(this.most / 4))) {
        if (position) this.dropped.set(position.shard, position);
      }
    }
    this.shown.take(reading);
  }

  /**
   * Live flows from here on, as pushed after a subscription: with all that was not committed at
   * that moment. What came before it may be of another data set.
   */
  join() {
    this.flows = true;
    this.forget();
  }

  /** Live has ended: the connection is gone, or something was not delivered. */
  part() {
    this.flows = false;
    this.flawed = true;
    if (this.state === 'whole') this.state = 'torn';
    this.shown.tear();
  }

  /** Something of a shard was not delivered. @param {number | null} shard null: not said which */
  tear(shard) {
    const { reached } = this.shown;
    // A series that nothing is known of may come through any shard.
    const known = shard === null || reached.ends.size === 0 || reached.knows(shard);
    if (known) this.part();
  }

  /** Another question is looked at, of the same series: nothing is on show yet. */
  clear() {
    this.ticket += 1;
    this.state = 'unasked';
    this.shown = this.begin();
  }

  /** Another data set, or another run of the server: nothing that was shown counts any more. */
  reset() {
    this.clear();
    this.forget();
  }

  /** Whether an answer is needed that is not on its way, and could be had. */
  get wants() {
    return this.flows && (this.state === 'asking' ? this.flawed : this.state !== 'whole');
  }
}

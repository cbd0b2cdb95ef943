/**
 * One series over a range, or over the part of it that is looked at: which stretch of time that is
 * at a moment, the answer for it at the resolution that the chart can show, and when to ask again.
 */

import { Refused } from './api.js';
import { now } from './clock.js';
import { Continued } from './continued.js';
import { pointsFor } from './question.js';
import { rangeNamed, spanOf, youngSpan } from './ranges.js';
import { Sums } from './sums.js';

/** @typedef {import('./ranges.js').Span} Span */
/** @typedef {{id: string, type: string, range: string}} Subject what is looked at, over what */

/** @type {Subject} */
export const NOTHING = { id: '', type: '', range: '' };

/** A chart that is another width by this share is asked for anew. */
const WIDTH_SHARE = 0.2;
/** A live chart is asked for anew when its range has moved by this share, or much was added. */
const MOVED_SHARE = 1 / 60;
const RENEW_MS_LEAST = 30_000;
const ADDED_MOST = 5000;
/** What could not be had is asked for again after this, then twice that, up to the greatest. */
const RETRY_MS_FIRST = 2000;
const RETRY_MS_MOST = 30_000;
/** A renewal that stays without an answer for so long is given up for another. */
const ANSWER_MS_MOST = 60_000;

/**
 * @typedef {object} Surroundings
 * @property {() => number} pixels the width of the chart in CSS pixels
 * @property {(subject: Subject) => import('./catalogue.js').Series | null} series
 * @property {(on: boolean) => void} busy somebody waits for an answer
 * @property {() => void} changed there is something new to draw
 */

export class Timeline {
  /** @param {Surroundings} around */
  constructor(around) {
    this.around = around;
    this.subject = NOTHING;
    /** @type {Span | null} */
    this.zoom = null;
    this.line = new Continued(false);
    this.sums = new Sums(false);
    /** The whole range, while a part is looked at. @type {import('./stretch.js').Stretch | null} */
    this.wide = null;
    /** @type {AbortController | null} */
    this.asking = null;
    /** Somebody waits for the answer; else it only renews what is shown. */
    this.waiting = false;
    /** Why the last answer that somebody waited for did not come. @type {unknown} */
    this.failure = null;
    this.askedAt = 0;
    /** Answers in a row that did not come, and when what is still missing is asked for again. */
    this.failures = 0;
    this.retryAt = 0;
  }

  /** What is on show, also while the next answer is on its way. */
  get stretch() {
    return this.line.shown;
  }

  /**
   * Turns to another subject, to a part of its range or back to all of it. What is known already is
   * on show until the answer is there; `load` asks for it.
   *
   * @param {Subject} subject
   * @param {Span | null} zoom
   * @returns {boolean} whether that is something else than before
   */
  turnTo(subject, zoom) {
    const before = this.subject;
    const same = JSON.stringify(subject) === JSON.stringify(before);
    if (same && JSON.stringify(zoom) === JSON.stringify(this.zoom)) return false;
    this.asking?.abort();
    if (subject.id === before.id && subject.type === before.type) {
      this.sums.forget();
    } else {
      this.line = new Continued(this.line.flows);
      this.sums = new Sums(this.line.flows);
    }
    if (!same) this.wide = null;
    else if (zoom === null && this.wide) this.line.shown = this.wide;
    else if (this.zoom === null) this.wide = this.stretch;
    this.subject = subject;
    this.zoom = zoom;
    this.failure = null;
    this.failures = 0;
    this.waiting = true;
    return true;
  }

  leave() {
    this.turnTo(NOTHING, null);
    this.waiting = false;
    this.around.busy(false);
  }

  /** Asks for the stretch, for somebody who waits. */
  load() {
    this.waiting = true;
    this.failure = null;
    this.around.changed();
    return this.renew();
  }

  /** @param {number | null} [until] only what was measured before */
  async renew(until = null) {
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    if (this.subject.type === '') return;
    this.around.busy(this.waiting);
    this.askedAt = now();
    const question = this.questionAt(this.askedAt);
    if (until !== null) question.to = until;
    try {
      await this.line.load(this.subject, question, asking.signal);
      this.failure = null;
      this.failures = 0;
    } catch (error) {
      if (asking.signal.aborted) return;
      // Who waits is told; else the old answer stays, live goes on, and the next try comes soon.
      if (this.waiting) this.failure = error;
      this.failures += 1;
      this.retryAt = isPassing(error) ? this.askedAt + this.retryMs : Infinity;
    }
    if (asking.signal.aborted) return;
    this.waiting = false;
    this.around.busy(false);
    this.around.changed();
    if (this.failure === null) void this.loadSums(asking.signal);
  }

  get retryMs() {
    return Math.min(RETRY_MS_MOST, RETRY_MS_FIRST * 2 ** Math.max(0, this.failures - 1));
  }

  /** @param {AbortSignal} signal */
  async loadSums(signal) {
    const series = this.around.series(this.subject) ?? { ...this.subject, count: null };
    try {
      await this.sums.load(series, this.stretch, now(), signal);
    } catch {
      // What is not known is shown as a dash; the next renewal asks again.
    }
    if (!signal.aborted) this.around.changed();
  }

  /** Freezes a live answer, for somebody who wants just its rows. */
  async settle() {
    if (!this.stretch.question.live) return;
    const lastAt = this.around.series(this.subject)?.lastAt ?? 0;
    await this.renew(Math.ceil(Math.max(now(), lastAt)) + 1);
  }

  /** @param {import('./events.js').Reading} reading any series' */
  take(reading) {
    const { id, type } = this.subject;
    if (reading.id !== id || reading.type !== type) return;
    this.line.take(reading);
    this.wide?.take(reading);
    this.sums.take(reading);
    this.around.changed();
  }

  /** Live readings come from here on: what is on show may be asked for. */
  join() {
    for (const seam of [this.line, this.sums.windows]) seam.join();
  }

  /**
   * They do not any more, or some were not delivered: of which shard does not matter, for a series
   * may come through one that it never came through before.
   */
  part() {
    for (const seam of [this.line, this.sums.windows]) seam.part();
    this.wide?.tear();
    this.around.changed();
  }

  /** Another data set: what is on show is of the one before. */
  reset() {
    this.asking?.abort();
    for (const seam of [this.line, this.sums.windows]) seam.reset();
    this.wide = null;
    this.part();
  }

  /** Whether something of what is looked at is missing, is not on its way, and could be had. */
  get wants() {
    const { line, sums: { windows } } = this;
    return this.subject.type !== '' && (line.wants || (windows.wants && windows.state === 'torn'));
  }

  /**
   * Whether the answer on show has become old (live readings stand in it one by one), or what is
   * missing in it may be had by now.
   * @param {number} at
   */
  isDue(at) {
    const { question, added } = this.stretch;
    const { from, to } = this.frameAt(at);
    const rest = at - this.askedAt;
    if (this.waiting || (this.line.state === 'asking' && rest < ANSWER_MS_MOST)) return false;
    if (this.failures > 0) return at >= this.retryAt;
    if (this.wants) return rest >= RETRY_MS_FIRST;
    if (rest < RENEW_MS_LEAST) return false;
    if (!question.live) return this.zoom === null && question.from !== from;
    return added > ADDED_MOST || rest > (to - from) * MOVED_SHARE;
  }

  /** Whether the chart has become much wider or narrower since it was asked for. */
  get isMisfit() {
    const { points } = this.stretch.question;
    const off = Math.abs(pointsFor(this.around.pixels()) - points);
    return points > 0 && off > points * WIDTH_SHARE;
  }

  /**
   * The stretch of time that is looked at, as far as it has come.
   * @param {number} at
   * @returns {Span}
   */
  frameAt(at) {
    if (this.zoom) return this.zoom;
    const { from, to } = spanOf(rangeNamed(this.subject.range), at);
    const { firstAt } = this;
    if (firstAt === null) return { from, to };
    return { from: to - youngSpan(to - firstAt, to - from), to };
  }

  /** When the first reading of all was, if it is on show, in ms since 1970. */
  get firstAt() {
    if (this.zoom || !rangeNamed(this.subject.range).live) return null;
    const series = this.around.series(this.subject);
    const count = this.sums.of(this.stretch)?.count ?? 0;
    return series?.count != null && count >= series.count ? this.stretch.first : null;
  }

  /** @param {number} at @returns {import('./question.js').Question} */
  questionAt(at) {
    const { from, to } = this.frameAt(at);
    // A window of which a part is looked at is asked for as a whole.
    const step = (this.zoom && this.stretch.window) ?? 1;
    const live = to >= at;
    return {
      from: Math.floor(from / step) * step,
      to: live ? null : Math.ceil(to),
      live,
      points: pointsFor(this.around.pixels()),
      resolution: 'auto',
    };
  }
}

/** Whether the same question may be answered later. @param {unknown} error */
const isPassing = (error) =>
  !(error instanceof Refused) || error.status === 0 || error.status >= 500 || error.status === 429;

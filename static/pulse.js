/**
 * Whether a standing connection is alive. Two signs say that it is not:
 *
 * - the server owes an answer for 5 s (browsers show no pings to a page, so it knocks);
 * - readings came steadily and have stopped for 5 s. Steadily: in at least 20 of the 30 seconds
 *   before the last one. A house that sends a reading a minute is quiet, not broken.
 */

const SILENT_MS = 5000;
const STEADY_OF_S = 30;
const STEADY_S = 20;

export class Pulse {
  constructor() {
    /** Time of the last frame, of the last reading, and since when an answer is owed; 0: none. */
    this.frameAt = 0;
    this.readingAt = 0;
    this.owedSince = 0;
    /** The last seconds that had a reading, oldest first. @type {number[]} */
    this.seconds = [];
  }

  /** The page asked something. @param {number} now ms */
  asked(now) {
    if (this.owedSince === 0) this.owedSince = now;
  }

  /** A frame came. @param {number} now @param {boolean} withReading */
  beat(now, withReading) {
    this.frameAt = now;
    this.owedSince = 0;
    if (!withReading) return;
    this.readingAt = now;
    const second = Math.floor(now / 1000);
    if (this.seconds.at(-1) === second) return;
    this.seconds.push(second);
    while (/** @type {number} */ (this.seconds[0]) <= second - STEADY_OF_S) this.seconds.shift();
  }

  /** A new connection owes nothing yet. */
  reconnected() {
    this.owedSince = 0;
    this.seconds = [];
  }

  /** How long an answer is owed, in ms. @param {number} now */
  owed(now) {
    return this.owedSince === 0 ? 0 : now - this.owedSince;
  }

  /**
   * @param {number} now
   * @returns {number | null} since when nothing came although something should have; else null
   */
  silentSince(now) {
    if (this.owed(now) > SILENT_MS && now - this.frameAt > SILENT_MS) return this.frameAt;
    const steady = this.seconds.length >= STEADY_S;
    return steady && now - this.readingAt > SILENT_MS ? this.readingAt : null;
  }
}

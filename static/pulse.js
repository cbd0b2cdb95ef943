/**
 * Whether a standing connection is alive. Three signs say that it is not:
 *
 * - the server owes an answer for 5 s (browsers show no pings to a page, so it knocks);
 * - the server answers that it has heard nothing itself for 5 s, not even that there is nothing;
 * - readings came steadily and have stopped for 5 s. Steadily: in at least 20 of the 30 seconds
 *   before the last one. A house that sends a reading a minute is quiet, not broken.
 *
 * A silence goes on, whatever else comes or is connected anew meanwhile, until a reading comes or
 * the server says that it hears again: its beginning never moves.
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
    /** Since when the server has heard nothing; 0: it hears, or does not say. */
    this.deafSince = 0;
    /** When the silence began; null: there is none. @type {number | null} */
    this.silence = null;
    /** The last seconds that had a reading, oldest first. @type {number[]} */
    this.seconds = [];
  }

  /** The page asked something. @param {number} now ms */
  asked(now) {
    if (this.owedSince === 0) this.owedSince = now;
  }

  /** A frame came. @param {number} now @param {boolean} withReading */
  beat(now, withReading) {
    this.silentSince(now);
    this.frameAt = now;
    this.owedSince = 0;
    if (!withReading) return;
    this.readingAt = now;
    this.deafSince = 0;
    this.silence = null;
    const second = Math.floor(now / 1000);
    if (this.seconds.at(-1) === second) return;
    this.seconds.push(second);
    while (/** @type {number} */ (this.seconds[0]) <= second - STEADY_OF_S) this.seconds.shift();
  }

  /** The server says for how long it has heard nothing. @param {number} now @param {number} ms */
  told(now, ms) {
    const hears = ms <= SILENT_MS;
    this.deafSince = hears ? 0 : now - ms;
    if (hears) this.silence = null;
  }

  /** A new connection owes nothing yet, and what came before is no habit of it. */
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
    if (this.silence !== null) return this.silence;
    const steady = this.seconds.length >= STEADY_S;
    /** @type {number[]} */
    const signs = [];
    if (this.owed(now) > SILENT_MS && now - this.frameAt > SILENT_MS) signs.push(this.frameAt);
    if (this.deafSince !== 0) signs.push(this.deafSince);
    if (steady && now - this.readingAt > SILENT_MS) signs.push(this.readingAt);
    if (signs.length > 0) this.silence = Math.min(...signs);
    return this.silence;
  }
}

/**
 * Where a reading stands in its shard's stream: `<shard>:<ms>-<seq>.<index>`.
 *
 * A token is a comma list of positions, one per shard at most. History says with a token up to
 * where it reaches; live readings at or before it are in the history and are not drawn twice.
 */

/** @typedef {{shard: number, ms: number, seq: number, index: number}} Position */

const SHAPE = /^(\d+):(\d+)-(\d+)(?:\.(\d+))?$/;

/**
 * @param {unknown} text
 * @returns {Position | null} null when the text is no position
 */
export function parsePosition(text) {
  const found = typeof text === 'string' ? SHAPE.exec(text.trim()) : null;
  if (!found) return null;
  // Without an index the whole entry is meant, so every reading of it is at or before.
  const index = found[4] === undefined ? Infinity : Number(found[4]);
  return { shard: Number(found[1]), ms: Number(found[2]), seq: Number(found[3]), index };
}

/**
 * @param {unknown} token comma list of positions
 * @returns {Map<number, Position>} by shard
 */
export function parseToken(token) {
  /** @type {Map<number, Position>} */
  const byShard = new Map();
  for (const part of typeof token === 'string' ? token.split(',') : []) {
    const position = parsePosition(part);
    if (position) byShard.set(position.shard, position);
  }
  return byShard;
}

/** @param {Position} a @param {Position} b of the same shard; below 0: `a` is before `b` */
function order(a, b) {
  // Two that mean the whole entry differ by NaN.
  return a.ms - b.ms || a.seq - b.seq || (a.index === b.index ? 0 : a.index - b.index);
}

/**
 * Whether history that reaches to `token` already holds the reading at `position`.
 * A position that cannot be read, or a shard the token does not name, counts as not covered:
 * drawing a reading twice at one place is invisible, losing one is not.
 *
 * @param {Map<number, Position>} token
 * @param {Position | null} position
 */
export function covers(token, position) {
  const end = position && token.get(position.shard);
  return Boolean(position && end && order(position, end) <= 0);
}

/**
 * How far one series has been taken in, shard by shard: first what its history holds, then each
 * live reading. After a return the server begins where it has committed, so readings come again
 * that came already; they stand at or before this.
 *
 * A message may hold several readings of one series, which share its position: at the newest
 * position those count as taken whose time was.
 */
export class Reached {
  /** @param {Map<number, Position>} token of the history */
  constructor(token) {
    /** `times` null: all that stands at the position. */
    this.ends = new Map([...token].map(([shard, position]) =>
      [shard, { position, times: /** @type {Set<number> | null} */ (null) }]));
  }

  /**
   * Takes a reading in, unless it has been before.
   * @param {{position: Position | null, at: number}} reading
   * @returns {boolean} whether it is new
   */
  takes({ position, at }) {
    if (!position) return true;
    const end = this.ends.get(position.shard);
    const after = end ? order(position, end.position) : 1;
    if (after > 0) {
      this.ends.set(position.shard, { position, times: new Set([at]) });
      return true;
    }
    if (after < 0 || !end?.times || end.times.has(at)) return false;
    end.times.add(at);
    return true;
  }

  /** Whether anything of the series has come through this shard. @param {number} shard */
  knows(shard) {
    return this.ends.has(shard);
  }
}

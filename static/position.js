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
  if (!position || !end) return false;
  if (position.ms !== end.ms) return position.ms < end.ms;
  if (position.seq !== end.seq) return position.seq < end.seq;
  return position.index <= end.index;
}

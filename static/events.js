/**
 * Text frames and JSON answers in, checked events out. Nothing beyond this file sees wire shapes.
 *
 * What does not have the promised shape is left out and counted; it never becomes NaN on the page.
 */

import { parsePosition } from './position.js';

/**
 * One measured value.
 * @typedef {object} Reading
 * @property {string} id sensor id
 * @property {string} type what it measures
 * @property {number} value finite
 * @property {string} unit '' when none was sent
 * @property {number} at when it was measured, in ms since 1970
 * @property {string | null} location
 * @property {object} metadata
 * @property {import('./position.js').Position | null} position where in its shard's stream
 */

/**
 * One series with its statistics since the first reading.
 * @typedef {object} Row
 * @property {string} id
 * @property {string} type
 * @property {string} unit
 * @property {string | null} location
 * @property {object} metadata
 * @property {number | null} min
 * @property {number | null} max
 * @property {number | null} avg
 * @property {number | null} stddev
 * @property {number} count
 * @property {number | null} last
 * @property {number | null} lastAt ms since 1970
 * @property {string | null} status null: the server does not say
 */

/**
 * @typedef {{kind: 'hello', subscribed: boolean, generation: string | null,
 *   silentMs: number | null}
 *   | {kind: 'error', message: string}
 *   | {kind: 'readings', readings: Reading[]}
 *   | {kind: 'stats', rows: Row[], asOf: number | null}
 *   | {kind: 'status', id: string, type: string | null, status: string | null}
 *   | {kind: 'removed', id: string}
 *   | {kind: 'lost', shard: number | null}
 *   | {kind: 'reset'}
 *   | {kind: 'other', name: string}} PageEvent
 */

/** How much did not have the promised shape, since the page was opened. */
export const malformed = { count: 0 };

/** @typedef {Record<string, unknown>} Wire */

/**
 * @param {unknown} it
 * @returns {it is Wire}
 */
const isObject = (it) => typeof it === 'object' && it !== null && !Array.isArray(it);
/** @param {unknown} it */
const finite = (it) => (typeof it === 'number' && Number.isFinite(it) ? it : null);
/** @param {unknown} it */
const textOrNull = (it) => (typeof it === 'string' && it !== '' ? it : null);

/** @param {unknown} it a time as RFC 3339 or as ms since 1970 */
export function timeOf(it) {
  return finite(typeof it === 'string' ? Date.parse(it) : it);
}

/**
 * @param {unknown} it
 * @returns {Reading | null}
 */
export function readingOf(it) {
  if (!isObject(it)) return null;
  const value = finite(it.value);
  const at = timeOf(it.timestamp);
  if (typeof it.sensor_id !== 'string' || value === null || at === null) return null;
  return {
    id: it.sensor_id,
    type: textOrNull(it.sensor_type) ?? 'unknown',
    value,
    unit: textOrNull(it.unit) ?? '',
    at,
    location: textOrNull(it.location),
    metadata: isObject(it.metadata) ? it.metadata : {},
    position: parsePosition(it.position),
  };
}

/**
 * @param {unknown} it
 * @returns {import('./windows.js').Window | null}
 */
export function windowOf(it) {
  if (!isObject(it)) return null;
  const [t, v, count] = [timeOf(it.timestamp), finite(it.value), finite(it.count)];
  const [low, high] = [finite(it.min), finite(it.max)];
  if (t === null || v === null || count === null || low === null || high === null) return null;
  return { t, v, low, high, count };
}

/**
 * @param {unknown} it
 * @returns {Row | null}
 */
export function rowOf(it) {
  if (!isObject(it) || typeof it.sensor_id !== 'string') return null;
  return {
    id: it.sensor_id,
    type: textOrNull(it.sensor_type) ?? 'unknown',
    unit: textOrNull(it.unit) ?? '',
    location: textOrNull(it.location),
    metadata: isObject(it.metadata) ? it.metadata : {},
    min: finite(it.min_value),
    max: finite(it.max_value),
    avg: finite(it.avg_value),
    stddev: finite(it.stddev),
    count: finite(it.count) ?? 0,
    last: finite(it.last_value),
    lastAt: timeOf(it.last_reading),
    status: textOrNull(it.status),
  };
}

/**
 * @template T
 * @param {unknown} list
 * @param {(it: unknown) => T | null} of
 * @returns {T[]}
 */
export function listOf(list, of) {
  /** @type {T[]} */
  const good = [];
  for (const it of Array.isArray(list) ? list : []) {
    const one = of(it);
    if (one === null) malformed.count += 1;
    else good.push(one);
  }
  return good;
}

/**
 * @param {unknown} text one text frame of the WebSocket
 * @returns {PageEvent | null} null when it is no event at all
 */
export function decode(text) {
  /** @type {unknown} */
  let frame;
  try {
    frame = JSON.parse(String(text));
  } catch {
    malformed.count += 1;
    return null;
  }
  if (!isObject(frame) || typeof frame.event !== 'string') {
    malformed.count += 1;
    return null;
  }
  return eventOf(frame.event, isObject(frame.data) ? frame.data : {});
}

/**
 * @param {string} name
 * @param {Wire} data
 * @returns {PageEvent}
 */
function eventOf(name, data) {
  switch (name) {
    case 'sensor_update':
      return { kind: 'readings', readings: listOf([data], readingOf) };
    case 'sensor_updates':
      return { kind: 'readings', readings: listOf(data.readings, readingOf) };
    case 'sensor_stats':
      return { kind: 'stats', rows: listOf(data.sensors, rowOf), asOf: timeOf(data.as_of) };
    case 'sensor_status':
      return {
        kind: 'status',
        id: String(data.sensor_id),
        type: textOrNull(data.sensor_type),
        status: textOrNull(data.status),
      };
    case 'sensor_removed':
      return { kind: 'removed', id: String(data.sensor_id) };
    case 'status':
      return {
        kind: 'hello',
        subscribed: data.message === 'subscribed',
        generation: typeof data.generation === 'string' ? data.generation : null,
        silentMs: finite(data.silent_ms),
      };
    case 'error':
      return { kind: 'error', message: String(data.message) };
    case 'gap':
      return { kind: 'lost', shard: finite(data.shard) };
    case 'reset':
      return { kind: 'reset' };
    default:
      return { kind: 'other', name };
  }
}

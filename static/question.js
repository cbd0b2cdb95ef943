/** A question for the readings of one series over a stretch of time, and its address. */

import { Refused } from './api.js';

/** What the server takes as `points`. */
const POINTS_LEAST = 2;
export const POINTS_MOST = 10_000;
/** A pixel's lowest and its highest reading: more could not be seen. */
const POINTS_PER_PIXEL = 2;

/** @typedef {'raw' | '1m' | '1h'} Resolution */

/**
 * @typedef {object} Question
 * @property {number} from ms since 1970, included
 * @property {number | null} to excluded; null: whatever has come
 * @property {boolean} live what is measured later belongs to it too
 * @property {number} points rows wanted at most
 * @property {'auto' | Resolution} resolution
 */

/** @param {number} pixels the width of the chart in CSS pixels */
export function pointsFor(pixels) {
  const wanted = Math.round(pixels * POINTS_PER_PIXEL);
  return Math.max(POINTS_LEAST, Math.min(POINTS_MOST, wanted));
}

/**
 * Relative, so that it works under a prefix and the session goes along.
 *
 * @param {{id: string, type: string}} series
 * @param {Question} question
 * @param {Record<string, string>} [more] parameters
 * @returns {string}
 */
export function addressOf(series, question, more = {}) {
  if (series.id === '.' || series.id === '..') {
    throw new Refused(400, `The id “${series.id}” cannot be part of an address.`);
  }
  const asked = new URLSearchParams({ type: series.type, from: wireTime(question.from) });
  if (question.to !== null) asked.set('to', wireTime(question.to));
  asked.set('points', String(question.points));
  if (question.resolution !== 'auto') asked.set('resolution', question.resolution);
  for (const [name, value] of Object.entries(more)) asked.set(name, value);
  return `api/sensors/${encodeURIComponent(series.id)}/readings?${asked.toString()}`;
}

/** @param {number} t ms since 1970 */
const wireTime = (t) => new Date(t).toISOString();

/** Readings of the past, from the server: one question, one answer. */

import { ask } from './api.js';
import { listOf, readingOf, windowOf } from './events.js';
import { parseToken } from './position.js';
import { addressOf } from './question.js';
import { Stretch } from './stretch.js';
import { Windows } from './windows.js';

/**
 * @param {{id: string, type: string}} series
 * @param {import('./question.js').Question} question
 * @param {AbortSignal} [signal]
 * @returns {Promise<Stretch>}
 */
export async function readPast(series, question, signal) {
  const answer = await ask(addressOf(series, question), signal);
  const stretch = new Stretch(question, resolutionOf(answer.resolution),
    tokenOf(answer.position, series.type));
  const { rows } = stretch;
  if (rows instanceof Windows) {
    for (const window of listOf(answer.readings, windowOf)) rows.append(window);
  } else {
    for (const reading of listOf(answer.readings, readingOf)) rows.push(reading.at, reading.value);
  }
  return stretch;
}

/** @param {unknown} said @returns {import('./question.js').Resolution} */
const resolutionOf = (said) => (said === '1m' || said === '1h' ? said : 'raw');

/** @param {unknown} byType @param {string} type */
function tokenOf(byType, type) {
  const entries = typeof byType === 'object' && byType !== null ? Object.entries(byType) : [];
  return parseToken(new Map(entries).get(type));
}

/**
 * The server's time as well as the page can know it, so that ages are right where the browser's
 * clock is not. Answers carry `as_of`; a difference within two seconds is the way of the answer.
 */

const TRUSTED_MS = 2000;
let ahead = 0;

/** @param {number | null} asOf the server's time in an answer that has just come */
export function learnTime(asOf) {
  if (asOf === null) return;
  const difference = asOf - Date.now();
  ahead = Math.abs(difference) > TRUSTED_MS ? difference : 0;
}

/** The time now, in ms since 1970. */
export const now = () => Date.now() + ahead;

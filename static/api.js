/** Questions to the server, by addresses relative to the page: it may be served under a prefix. */

/** An answer that was no success. */
export class Refused extends Error {
  /** @param {number} status @param {string} said */
  constructor(status, said) {
    super(said);
    this.status = status;
  }
}

/**
 * @param {string} path relative, as `api/sensors`
 * @param {AbortSignal} [signal]
 * @returns {Promise<Record<string, unknown>>}
 */
export async function ask(path, signal) {
  const answer = await fetch(path, {
    headers: { Accept: 'application/json' },
    ...(signal ? { signal } : {}),
  });
  if (answer.status === 401) {
    location.assign('signin');
    throw new Refused(401, 'Signed out.');
  }
  /** @type {unknown} */
  const body = await answer.json().catch(() => null);
  const object = typeof body === 'object' && body !== null ? body : {};
  const fields = /** @type {Record<string, unknown>} */ (object);
  if (answer.ok) return fields;
  const said = typeof fields.error === 'string' ? fields.error : `The answer was ${answer.status}.`;
  throw new Refused(answer.status, said);
}

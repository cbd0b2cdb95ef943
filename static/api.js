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
 */
export const ask = (path, signal) => send('GET', path, signal);

/** @param {string} path of what is to be deleted */
export const askToDelete = (path) => send('DELETE', path);

/**
 * @param {string} method
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<Record<string, unknown>>}
 */
async function send(method, path, signal) {
  const answer = await fetch(path, {
    method,
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

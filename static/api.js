/** Questions to the server, by addresses relative to the page: it may be served under a prefix. */

/**
 * So long a question waits for its answer, try by try. Behind a network that was away the browser
 * may keep connections that are dead without a sign: it drops one that a try gave up, and the next
 * try gets another. The last try is for a server that is slow.
 */
const PATIENCE_MS = [5000, 5000, 20_000];

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
export async function ask(path, signal) {
  for (const ms of PATIENCE_MS) {
    const late = AbortSignal.timeout(ms);
    try {
      return await send('GET', path, signal ? AbortSignal.any([signal, late]) : late);
    } catch (error) {
      if (!late.aborted || signal?.aborted) throw error;
    }
  }
  throw new Refused(0, 'The server does not answer.');
}

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

/**
 * The live side: keeps the connection, asks for statistics while somebody looks, knows whether what
 * is shown is live. Events go on as they come; what they mean is for those who listen.
 */

import { ask } from './api.js';
import { decode } from './events.js';
import { Pulse } from './pulse.js';
import { Socket } from './socket.js';
import { Steps } from './steps.js';

/** How often statistics are asked for while somebody looks: 24 answers make the last minute. */
const STATS_MS = 2500;
/** A large answer is asked for more rarely: so many rows may come per second. */
const ROWS_PER_S = 1000;
/** Even a new series, which has no statistics yet, does not ask more often. */
const STATS_MS_LEAST = 1000;
/** A connection that owes an answer for so long is replaced: three times what makes it stale. */
const OWED_MS_MOST = 15_000;

/**
 * The connection as the reader is told of it.
 * @typedef {object} Link
 * @property {'connecting' | 'live' | 'stale' | 'off'} state
 * @property {number} eventAt when the last event came, in ms since 1970; 0: none yet
 * @property {number} silentSince for `stale`
 * @property {number} retryAt for `off`: when the next try starts; 0: it is under way
 */

/**
 * @typedef {object} Listener
 * @property {(event: import('./events.js').PageEvent) => void} onEvent
 * @property {() => void} onJoin pushed to from now on, for the first time or again
 * @property {() => void} onPart not pushed to any more
 * @property {() => void} onLink `link()` may be another
 * @property {() => number} rows how many rows an answer will have
 */

export class Live {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.pulse = new Pulse();
    this.askedAt = 0;
    this.steps = new Steps();
    this.socket = new Socket({
      onFrame: (text) => this.onFrame(text),
      onOpen: () => {
        this.pulse.reconnected();
        this.steps.opened(Date.now());
        this.subscribe();
        this.askStats(0);
      },
      onChange: () => {
        if (this.socket.state !== 'open') this.part();
        listener.onLink();
      },
      // Only a question over HTTP can tell why a handshake failed; 401 leads to the sign-in.
      onRefused: () => void ask('api/stats').catch(() => null),
    });
  }

  start() {
    addEventListener('online', () => this.socket.tryNow());
    document.addEventListener('visibilitychange', () => this.onVisible());
    setInterval(() => this.askStats(STATS_MS / 2), STATS_MS);
    this.socket.connect();
  }

  /** @param {unknown} text */
  onFrame(text) {
    const event = decode(text);
    this.pulse.beat(Date.now(), event?.kind === 'readings' && event.readings.length > 0);
    if (!event) return;
    const torn = event.kind === 'lost' || event.kind === 'reset';
    if (torn && this.steps.disturbed(Date.now())) this.subscribe();
    // A server that refuses to subscribe pushes everything all the same.
    const granted = event.kind === 'error' || (event.kind === 'hello' && event.subscribed);
    this.listener.onEvent(event);
    if (granted && this.steps.granted()) this.listener.onJoin();
  }

  subscribe() {
    this.pulse.asked(Date.now());
    this.socket.send('subscribe', { sensors: ['*'], batch: true });
  }

  part() {
    if (this.steps.state === 'away') return;
    this.steps.closed();
    this.listener.onPart();
  }

  /** @param {number} [restMs] not if the last question was less than this ago */
  askStats(restMs = STATS_MS_LEAST) {
    const at = Date.now();
    const rest = restMs === 0 ? 0 : Math.max(restMs, (this.listener.rows() / ROWS_PER_S) * 1000);
    if (document.hidden || this.socket.state !== 'open' || at - this.askedAt < rest) return;
    this.askedAt = at;
    this.pulse.asked(at);
    this.socket.send('request_all_stats', {});
  }

  onVisible() {
    // While hidden nothing was asked, so nothing is owed.
    this.pulse.owedSince = 0;
    if (document.hidden) return;
    this.socket.tryNow();
    this.askStats(0);
  }

  /** Once a second: a connection that says nothing any more is replaced. */
  tick() {
    const at = Date.now();
    if (this.steps.isDue(at)) this.subscribe();
    if (this.pulse.owed(at) <= OWED_MS_MOST && !this.steps.isIgnored(at)) return;
    this.pulse.reconnected();
    this.socket.replace();
  }

  /** @returns {Link} */
  link() {
    const { state, retryAt, failures } = this.socket;
    const eventAt = this.pulse.readingAt || this.pulse.frameAt;
    const since = state === 'open' ? this.pulse.silentSince(Date.now()) : null;
    const link = { eventAt, silentSince: since ?? 0, retryAt: 0 };
    if (state === 'open') return { ...link, state: since === null ? 'live' : 'stale' };
    if (state === 'connecting' && failures === 0) return { ...link, state: 'connecting' };
    return { ...link, state: 'off', retryAt: state === 'waiting' ? retryAt : 0 };
  }
}

/**
 * The live side: keeps the connection, subscribes to everything, knows whether what is shown is
 * live. Events go on as they come; what they mean is for those who listen.
 */

import { ask } from './api.js';
import { decode } from './events.js';
import { Pulse } from './pulse.js';
import { Socket } from './socket.js';
import { Steps } from './steps.js';

/** Readings in bunches, and the statistics that changed, at most once a second. */
const WISH = { sensors: ['*'], batch: true, stats: true };
/** A connection that said nothing for so long is knocked at: looked after so often. */
const QUIET_MS = 2000;
const LOOK_MS = 500;
/** A connection that owes an answer for so long is replaced: three times what makes it stale. */
const OWED_MS_MOST = 15_000;

/**
 * The connection as the reader is told of it.
 * @typedef {object} Link
 * @property {'connecting' | 'live' | 'stale' | 'off'} state `connecting`: for the first time
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
 */

export class Live {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.pulse = new Pulse();
    this.steps = new Steps();
    /** Something came over the connection that stands. */
    this.isHeard = false;
    this.socket = new Socket({
      onFrame: (text) => this.onFrame(text),
      onOpen: () => {
        this.pulse.reconnected();
        this.steps.opened(Date.now());
        this.subscribe();
      },
      onChange: () => {
        this.isHeard = false;
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
    setInterval(() => this.knock(QUIET_MS), LOOK_MS);
    this.socket.connect();
  }

  /** @param {unknown} text */
  onFrame(text) {
    const event = decode(text);
    this.pulse.beat(Date.now(), event?.kind === 'readings' && event.readings.length > 0);
    if (event?.kind === 'hello' && event.silentMs !== null) {
      this.pulse.told(Date.now(), event.silentMs);
    }
    if (!this.isHeard) {
      this.isHeard = true;
      this.listener.onLink();
    }
    if (!event) return;
    if (event.kind === 'hello' && this.steps.named(event.generation)) {
      this.listener.onEvent({ kind: 'reset' });
    }
    const torn = event.kind === 'lost' || event.kind === 'reset';
    if (torn && this.steps.disturbed(Date.now())) this.subscribe();
    // A server that refuses to subscribe pushes everything all the same.
    const granted = event.kind === 'error' || (event.kind === 'hello' && event.subscribed);
    this.listener.onEvent(event);
    if (granted && this.steps.granted()) this.listener.onJoin();
  }

  subscribe() {
    this.pulse.asked(Date.now());
    this.socket.send('subscribe', WISH);
  }

  part() {
    if (this.steps.state === 'away') return;
    this.steps.closed();
    this.listener.onPart();
  }

  /**
   * Keeps a connection that looks alive from only looking so: asks something whose answer changes
   * nothing, for browsers show a page no pings: to unsubscribe from nothing.
   * @param {number} quietMs not if a frame came less than this ago, or an answer is owed already
   */
  knock(quietMs) {
    const at = Date.now();
    if (document.hidden || this.socket.state !== 'open') return;
    if (this.pulse.owedSince !== 0 || at - this.pulse.frameAt < quietMs) return;
    this.pulse.asked(at);
    this.socket.send('unsubscribe', { sensors: [] });
  }

  onVisible() {
    // While hidden nobody knocked, and a browser may have slept: what was owed then says nothing.
    this.pulse.owedSince = 0;
    if (document.hidden) return;
    this.socket.tryNow();
    this.knock(0);
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
    const { readingAt, frameAt } = this.pulse;
    const since = this.pulse.silentSince(Date.now());
    const link = { eventAt: readingAt || frameAt, silentSince: since ?? 0, retryAt: 0 };
    if (this.isHeard) return { ...link, state: since === null ? 'live' : 'stale' };
    const isFirst = frameAt === 0 && failures === 0;
    if (state !== 'waiting' && isFirst) return { ...link, state: 'connecting' };
    return { ...link, state: 'off', retryAt: state === 'waiting' ? retryAt : 0 };
  }
}

/**
 * The live connection: connects, and after a loss connects again with full jitter, so that a
 * thousand pages do not return in the same instant (M. Brooker, "Exponential Backoff And Jitter",
 * AWS Architecture Blog, 2015). What to do after a return is for those who listen.
 */

/**
 * @typedef {object} Listener
 * @property {(text: unknown) => void} onFrame a text frame came
 * @property {() => void} onOpen connected, for the first time or again
 * @property {() => void} onChange `state` or `retryAt` is another
 * @property {() => void} onRefused a try failed before the connection stood
 */

/** The first wait is at most this, each further one twice the last, up to the greatest: guesses. */
const WAIT_MS_FIRST = 500;
const WAIT_MS_MOST = 15_000;
/** Even the luckiest draw leaves a moment: a server that refuses at once is not hammered. */
const WAIT_MS_LEAST = 250;
/** A handshake that takes longer is given up: a guess that suits slow mobile networks. */
const HANDSHAKE_MS_MOST = 10_000;

export class Socket {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    /** @type {'connecting' | 'open' | 'waiting'} */
    this.state = 'connecting';
    /** When the next try starts, in ms since 1970; only while waiting. */
    this.retryAt = 0;
    this.failures = 0;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  connect() {
    clearTimeout(this.timer);
    const url = new URL('ws', document.baseURI);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.hash = '';
    const socket = new WebSocket(url);
    this.socket = socket;
    let stood = false;
    this.become('connecting');
    this.timer = setTimeout(() => socket.close(), HANDSHAKE_MS_MOST);
    socket.addEventListener('open', () => {
      if (this.socket !== socket) return;
      clearTimeout(this.timer);
      stood = true;
      this.become('open');
      this.listener.onOpen();
    });
    socket.addEventListener('message', (message) => {
      this.failures = 0;
      if (this.socket === socket) this.listener.onFrame(message.data);
    });
    socket.addEventListener('close', () => {
      if (this.socket !== socket) return;
      this.socket = null;
      if (!stood) this.listener.onRefused();
      this.waitAndRetry();
    });
  }

  waitAndRetry() {
    clearTimeout(this.timer);
    const most = Math.min(WAIT_MS_MOST, WAIT_MS_FIRST * 2 ** this.failures);
    const wait = Math.max(WAIT_MS_LEAST, Math.random() * most);
    this.failures += 1;
    this.retryAt = Date.now() + wait;
    this.become('waiting');
    this.timer = setTimeout(() => this.connect(), wait);
  }

  /** Ends the wait; nothing when connected or connecting. */
  tryNow() {
    if (this.state === 'waiting') this.connect();
  }

  /** Leaves a connection that says nothing any more and makes another. */
  replace() {
    const silent = this.socket;
    this.socket = null;
    silent?.close();
    this.connect();
  }

  /** @param {string} event @param {object} data */
  send(event, data) {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ event, data }));
    }
  }

  /** @param {'connecting' | 'open' | 'waiting'} state */
  become(state) {
    this.state = state;
    this.listener.onChange();
  }
}

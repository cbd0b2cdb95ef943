/** The network between a browser and a server, to be pulled: a TCP proxy of our own. */

import { connect, createServer } from 'node:net';

export class Wire {
  /** @param {number} port of the server, on loopback */
  constructor(port) {
    this.target = port;
    /** @type {Set<import('node:net').Socket[]>} both ends of each connection */
    this.pairs = new Set();
    this.isCut = false;
    this.server = createServer((near) => this.join(near));
  }

  async start() {
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${this.server.address().port}/`;
    return this;
  }

  /** @param {import('node:net').Socket} near */
  join(near) {
    if (this.isCut) return void near.resetAndDestroy();
    const far = connect(this.target, '127.0.0.1');
    const pair = [near, far];
    this.pairs.add(pair);
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on('data', (bytes) => {
        if (!pair.held) other.write(bytes);
      });
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.pairs.delete(pair);
        // The other end of a held connection is told nothing.
        if (!pair.held) other.destroy();
      });
    }
  }

  /** Cuts every connection and refuses new ones. */
  cut() {
    this.isCut = true;
    for (const pair of this.pairs) for (const end of pair) end.resetAndDestroy();
  }

  mend() {
    this.isCut = false;
  }

  /** The connections that stand stay, and nothing comes through them any more; new ones work. */
  hold() {
    for (const pair of this.pairs) pair.held = true;
  }

  stop() {
    this.cut();
    this.server.close();
  }
}

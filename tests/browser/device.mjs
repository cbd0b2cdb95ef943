/**
 * A device that keeps a ledger: MQTT 3.1.1 at QoS 1, each message sent until it is acknowledged.
 * Readings have times, so that one that is sent twice counts once.
 */

import { connect } from 'node:net';

const AGAIN_MS = 200;

export class Device {
  /** @param {number} port @param {string} id */
  constructor(port, id) {
    this.port = port;
    this.id = id;
    this.packet = 0;
    /** Sent and not acknowledged: number of the packet → topic and message. */
    this.open = new Map();
    this.ended = false;
  }

  start() {
    const socket = connect(this.port, '127.0.0.1');
    socket.setNoDelay(true);
    this.socket = socket;
    this.greeted = false;
    let heard = Buffer.alloc(0);
    socket.write(packet(0x10, [text('MQTT'), Buffer.from([4, 2, 0, 60]), text(this.id)]));
    socket.on('data', (bytes) => {
      // Every answer that comes here has four bytes: CONNACK and PUBACK.
      heard = Buffer.concat([heard, bytes]);
      for (; heard.length >= 4; heard = heard.subarray(4)) this.hear(heard);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.greeted = false;
      if (!this.ended) setTimeout(() => this.start(), AGAIN_MS);
    });
    return this;
  }

  /** @param {Buffer} answer */
  hear(answer) {
    if (answer[0] === 0x40) this.open.delete(answer.readUInt16BE(2));
    if (answer[0] !== 0x20) return;
    this.greeted = true;
    for (const [number, one] of this.open) this.write(number, one, 0x3a);
  }

  /** @param {string} topic @param {object} message */
  publish(topic, message) {
    this.packet = (this.packet % 65_535) + 1;
    const one = { topic, message: JSON.stringify(message) };
    this.open.set(this.packet, one);
    if (this.greeted) this.write(this.packet, one, 0x32);
  }

  /** @param {number} number @param {{topic: string, message: string}} one @param {number} kind */
  write(number, { topic, message }, kind) {
    const id = Buffer.from([number >> 8, number & 255]);
    this.socket.write(packet(kind, [text(topic), id, Buffer.from(message)]));
  }

  stop() {
    this.ended = true;
    this.socket.destroy();
  }
}

/** @param {string} it */
function text(it) {
  const bytes = Buffer.from(it);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

/** @param {number} kind first byte @param {Buffer[]} parts */
function packet(kind, parts) {
  const body = Buffer.concat(parts);
  const length = body.length < 128 ? [body.length] : [(body.length & 127) | 128, body.length >> 7];
  return Buffer.concat([Buffer.from([kind, ...length]), body]);
}

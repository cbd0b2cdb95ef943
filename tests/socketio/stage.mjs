/**
 * The real program for one test: a data directory and ports of its own, its own Redis, readings
 * over MQTT. `cargo test` builds it; STREAMGAUGE names another one.
 */

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { io } from 'socket.io-client';

export const TOKEN = 'a-token-of-the-tests';
const BINARY = process.env.STREAMGAUGE
  ?? fileURLToPath(new URL('../../target/debug/streamgauge', import.meta.url));

/** Asks until there is an answer that counts. */
export async function until(ask, what, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/** A promise, or an error when it takes too long. */
export function within(promise, what, ms = 10_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address();
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

/** Starts it and waits until it is ready. */
export async function start(settings = {}) {
  const home = mkdtempSync(join(tmpdir(), 'sg-'));
  const [http, mqtt] = [await freePort(), await freePort()];
  const child = spawn(BINARY, [], {
    cwd: home,
    env: {
      PATH: process.env.PATH,
      PORT: String(http),
      STREAMGAUGE_API_TOKEN: TOKEN,
      STREAMGAUGE_DATA_DIR: join(home, 'data'),
      STREAMGAUGE_MQTT_LISTEN: `127.0.0.1:${mqtt}`,
      STREAMGAUGE_REDIS_MEMORY: '256MiB',
      ...settings,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const log = [];
  child.stderr.on('data', (said) => log.push(said));
  child.on('error', (error) => log.push(`${error}\n`));
  const ended = new Promise((resolve) => { child.on('exit', resolve); });
  const url = `http://127.0.0.1:${http}`;
  const stage = {
    url,
    mqtt,
    pid: child.pid,
    ended,
    log: () => log.join(''),
    /** As a device does. */
    publish(topic, message) {
      const to = ['-h', '127.0.0.1', '-p', String(mqtt), '-q', '1'];
      execFileSync('mosquitto_pub', [...to, '-t', topic, '-m', JSON.stringify(message)]);
    },
    get(path, headers = {}) {
      return fetch(url + path, { headers: { authorization: `Bearer ${TOKEN}`, ...headers } });
    },
    stop() {
      child.kill('SIGTERM');
      return within(ended, 'the server ends', 15_000);
    },
    async close() {
      await stage.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
  try {
    const ready = () => fetch(`${url}/readyz`).then((it) => it.ok, () => false);
    await until(() => child.exitCode !== null || ready(), 'the server is ready', 30_000);
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${error.message}\n${stage.log()}`);
  }
  return stage;
}

/**
 * A client that keeps what it hears: `heard(event, fits)` waits for an event, also one that has
 * come already, and takes it.
 */
export function listen(stage, options = {}) {
  const socket = io(stage.url, { auth: { token: TOKEN }, forceNew: true, ...options });
  const events = [];
  const listeners = new Set();
  const note = (event, data) => {
    events.push([event, data]);
    listeners.forEach((listener) => listener());
  };
  socket.onAny(note);
  for (const event of ['connect', 'connect_error', 'disconnect']) {
    socket.on(event, (data) => note(event, data));
  }
  return {
    socket,
    async heard(event, fits = () => true, ms = 10_000) {
      let listener;
      const found = new Promise((resolve) => {
        listener = () => {
          const at = events.findIndex(([name, data]) => name === event && fits(data));
          if (at >= 0) resolve(events.splice(at, 1)[0][1]);
        };
        listeners.add(listener);
        listener();
      });
      const names = () => events.map(([name]) => name).join(', ');
      try {
        return await within(found, `"${event}"`, ms);
      } catch (error) {
        throw new Error(`${error.message}; heard: ${names()}`);
      } finally {
        listeners.delete(listener);
      }
    },
    close() { socket.disconnect(); },
  };
}

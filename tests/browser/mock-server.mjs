/**
 * A small server that speaks the page's side of the contract: assets at their names, the policy,
 * the API and the socket, with readings that a test publishes. It stands in for nothing but the
 * server: the page, the browser, HTTP and WebSocket are real.
 */

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { answerOf, csvOf } from './mock-history.mjs';

const STATS_MS = 1000;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const POLICY = "default-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'";
const KINDS = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
]);
const FROM_NPM = new Map([
  ['uPlot.esm.js', 'node_modules/uplot/dist/uPlot.esm.js'],
  ['uPlot.min.css', 'node_modules/uplot/dist/uPlot.min.css'],
]);

export class MockServer {
  /** @param {{prefix?: string, token?: string, listener?: object | null}} [how] */
  constructor({ prefix = '/', token = '', listener = { port: 1883, username: null } } = {}) {
    this.prefix = prefix;
    this.token = token;
    this.listener = listener;
    /** Readings of each series in order of time, by `id type`. */
    this.series = new Map();
    this.sequence = 0;
    this.clients = new Set();
    /** Connections that wait for an answer. */
    this.held = new Set();
    /** Everything that clients have asked for, oldest first. */
    this.wishes = [];
    /** What to do before an answer of history; tests hold answers back with it. */
    this.beforeHistory = async () => {};
    this.historyStatus = 200;
    /** How far back each resolution is kept, in ms; absent: without end. */
    this.kept = new Map();
    /** What each series is, where that was said; by `id type`. */
    this.statuses = new Map();
    /** Every question for history, oldest first. */
    this.questions = [];
    /** What a deletion is answered with, and whether clients are told of it. */
    this.deletionStatus = 202;
    this.tellsOfDeletion = true;
    /** The name of the data set. */
    this.generation = 'one';
    /** Whether questions over the socket are answered, and new connections. */
    this.answers = true;
    this.admits = true;
    /** Since when it hears nothing of Redis; 0: it does. */
    this.deafSince = 0;
  }

  async start(port = 0) {
    this.http = createServer((request, response) => {
      this.answer(request, response).catch((error) => {
        response.writeHead(500).end(String(error));
      });
    });
    this.sockets = new WebSocketServer({ noServer: true });
    this.http.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
    await new Promise((done) => this.http.listen(port, '127.0.0.1', done));
    this.port = this.http.address().port;
    return this;
  }

  get url() {
    return `http://127.0.0.1:${this.port}${this.prefix}`;
  }

  async stop() {
    for (const client of this.clients) client.terminate();
    for (const socket of this.held) socket.destroy();
    this.http.closeAllConnections();
    await new Promise((done) => this.http.close(done));
  }

  /** Takes a reading as the real server would: stored, counted, pushed to everybody. */
  publish(reading, { push = true } = {}) {
    const full = {
      unit: '', location: null, metadata: {}, timestamp: new Date().toISOString(), ...reading,
    };
    full.position = `0:${Date.now()}-${(this.sequence += 1)}.0`;
    const key = keyOf(full.sensor_id, full.sensor_type);
    const list = this.series.get(key) ?? Object.assign([], { sums: new Sums() });
    const late = list.length > 0 && full.timestamp < list.at(-1).timestamp;
    list.push(full);
    if (late) list.sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1));
    list.sums.add(full);
    this.series.set(key, list);
    for (const client of this.clients) {
      if (push && client.batch) say(client, 'sensor_updates', { readings: [full], conflated: 0 });
      else if (push) say(client, 'sensor_update', full);
      if (client.stats) this.pushStats(client, key);
    }
    return full;
  }

  /** What changed, at most once a second. */
  pushStats(client, key) {
    client.changed.add(key);
    if (client.pushing) return;
    const rest = Math.max(20, (client.pushedAt ?? 0) + STATS_MS - Date.now());
    client.pushing = setTimeout(() => {
      Object.assign(client, { pushing: null, pushedAt: Date.now() });
      const lists = [...client.changed].map((one) => this.series.get(one)).filter(Boolean);
      client.changed.clear();
      say(client, 'sensor_stats', { sensors: this.rows(lists) });
    }, rest);
  }

  send(event, data) {
    for (const client of this.clients) say(client, event, data);
  }

  rows(lists = this.series.values()) {
    return [...lists].map((list) => {
      const { sensor_id, sensor_type, unit, location, metadata, value, timestamp } = list.at(-1);
      return {
        sensor_id, sensor_type, unit, location, metadata,
        last_value: value, last_reading: timestamp, ...list.sums.row(),
        status: this.statuses.get(keyOf(sensor_id, sensor_type)) ?? null,
      };
    });
  }

  /** A sensor goes late or offline, or comes back. */
  turn(sensor_id, sensor_type, status) {
    const key = keyOf(sensor_id, sensor_type);
    this.statuses.set(key, status);
    const last_reading = this.series.get(key)?.at(-1).timestamp ?? null;
    this.send('sensor_status', { sensor_id, sensor_type, status, last_reading });
  }

  signedIn(request) {
    return this.token === '' || (request.headers.cookie ?? '').includes(`session=${this.token}`);
  }

  async answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, this.url);
    const path = pathname.startsWith(this.prefix) ? pathname.slice(this.prefix.length) : null;
    if (path === null) return json(response, 404, { error: 'Resource not found' });
    if (path === '') {
      if (this.signedIn(request)) return this.file(response, 'static/index.html');
      return response.writeHead(303, { location: 'signin' }).end();
    }
    if (path.startsWith('assets/')) return this.asset(response, path.slice('assets/'.length));
    if (path === 'signin') return this.signIn(request, response);
    if (!this.signedIn(request)) return json(response, 401, { error: 'Sign in first' });
    if (path === 'api/sensors') {
      this.wishes.push({ event: 'GET api/sensors' });
      const asOf = new Date().toISOString();
      return json(response, 200, { sensors: this.rows(), next: null, as_of: asOf });
    }
    if (path === 'api/stats') return json(response, 200, { listener: this.listener });
    const one = /^api\/sensors\/([^/]+)$/.exec(path);
    if (one && request.method === 'DELETE') return this.delete(response, decodeURIComponent(one[1]));
    const history = /^api\/sensors\/([^/]+)\/readings$/.exec(path);
    if (history) return this.history(response, decodeURIComponent(history[1]), searchParams);
    return json(response, 404, { error: 'Resource not found' });
  }

  delete(response, id) {
    if (this.deletionStatus !== 202) {
      return json(response, this.deletionStatus, { error: 'the shards are asleep' });
    }
    this.forget(id);
    if (this.tellsOfDeletion) this.send('sensor_removed', { sensor_id: id });
    return json(response, 202, { sensor_id: id, deleted: true });
  }

  /** As if nothing of it had ever come. */
  forget(id) {
    for (const [key, list] of this.series) if (list[0].sensor_id === id) this.series.delete(key);
  }

  /** Another data set begins, and nobody is told. */
  replace(generation) {
    this.series.clear();
    this.generation = generation;
  }

  async history(response, id, asked) {
    const type = asked.get('type');
    const lists = [...this.series.values()].filter((list) => list[0].sensor_id === id
      && (type === null || list[0].sensor_type === type));
    this.questions.push(Object.fromEntries(asked));
    if (lists.length === 0) return json(response, 404, { error: `no sensor ${id}` });
    let answer;
    try {
      answer = answerOf({ lists, kept: this.kept }, asked);
    } catch (refusal) {
      return json(response, refusal.status, { error: refusal.message });
    }
    const position = Object.fromEntries(lists.map((list) => [
      list[0].sensor_type, list.sums.position,
    ]));
    const readings = answer.rows.map(({ position: _, uncounted: __, ...rest }) => rest);
    await this.beforeHistory();
    if (this.historyStatus !== 200) {
      return json(response, this.historyStatus, { error: 'the history is being repaired' });
    }
    const { resolution, percentiles } = answer;
    if (asked.get('format') === 'csv') {
      const disposition = `attachment; filename="${id}.csv"`;
      const wire = { 'content-type': 'text/csv', 'content-disposition': disposition };
      return response.writeHead(200, wire).end(csvOf(readings, resolution));
    }
    const more = percentiles ? { percentiles } : {};
    return json(response, 200, { readings, next: null, position, resolution, ...more });
  }

  async signIn(request, response) {
    if (request.method === 'GET') return this.file(response, 'static/signin.html');
    let body = '';
    for await (const part of request) body += part;
    if (new URLSearchParams(body).get('token') !== this.token) {
      const page = await readFile(join(ROOT, 'static/signin.html'), 'utf8');
      const marked = page.replace('data-error=""', 'data-error="wrong-token"');
      return response.writeHead(401, headers('.html')).end(marked);
    }
    const cookie = `session=${this.token}; HttpOnly; SameSite=Lax; Path=/`;
    return response.writeHead(303, { location: this.prefix, 'set-cookie': cookie }).end();
  }

  asset(response, name) {
    const path = FROM_NPM.get(name) ?? join('static', normalize(`/${name}`));
    return this.file(response, path);
  }

  async file(response, path) {
    try {
      const content = await readFile(join(ROOT, path));
      response.writeHead(200, headers(extname(path))).end(content);
    } catch {
      json(response, 404, { error: 'Resource not found' });
    }
  }

  upgrade(request, socket, head) {
    if (!request.url.startsWith(`${this.prefix}ws`) || !this.signedIn(request)) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    if (!this.admits) {
      this.held.add(socket);
      return;
    }
    this.sockets.handleUpgrade(request, socket, head, (client) => {
      this.clients.add(client);
      client.changed = new Set();
      client.on('close', () => {
        clearTimeout(client.pushing);
        this.clients.delete(client);
      });
      client.on('message', (text) => {
        const { event, data: wish } = JSON.parse(String(text));
        this.wishes.push({ event, ...wish });
        if (event === 'subscribe') {
          Object.assign(client, { batch: wish.batch, stats: wish.stats });
          this.hello(client, 'subscribed');
        }
        if (event === 'unsubscribe' && this.answers) this.hello(client, 'unsubscribed');
      });
      this.hello(client, 'connected');
    });
  }

  hello(client, message) {
    const position = `0:${Date.now()}-${this.sequence}.0`;
    const { generation } = this;
    const silent_ms = this.deafSince === 0 ? 0 : Date.now() - this.deafSince;
    const begun = message === 'unsubscribed' ? {} : { position, generation };
    say(client, 'status', { message, silent_ms, ...begun });
  }
}

const say = (client, event, data) => client.send(JSON.stringify({ event, data }));
const keyOf = (id, type) => JSON.stringify([id, type]);

/** Statistics of one series, reading by reading (B. P. Welford, Technometrics 4, 1962). */
class Sums {
  constructor() {
    Object.assign(this, { count: 0, min: Infinity, max: -Infinity, mean: 0, m2: 0, position: '' });
  }

  add({ value, position, uncounted = 0 }) {
    this.count += 1;
    const off = value - this.mean;
    this.mean += off / this.count;
    this.m2 += off * (value - this.mean);
    this.min = Math.min(this.min, value);
    this.max = Math.max(this.max, value);
    this.position = position;
    this.uncounted = uncounted;
  }

  row() {
    return {
      min_value: this.min,
      max_value: this.max,
      avg_value: this.mean,
      stddev: this.count < 2 ? null : Math.sqrt(this.m2 / (this.count - 1)),
      count: this.count + this.uncounted,
    };
  }
}

function headers(extension) {
  return {
    'content-type': KINDS.get(extension) ?? 'application/octet-stream',
    'content-security-policy': POLICY,
    'cache-control': 'no-cache',
  };
}

function json(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

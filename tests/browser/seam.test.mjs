/**
 * Live without a seam, without a browser: the page's state machines against a small model of the
 * server, driven through random orders of readings, commits, frames, answers, losses and returns.
 * The ledger is what the model stored; in the end the page shows each of it once, and at no time
 * anything twice.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePosition, parseToken, Reached } from '../../static/position.js';
import { Seam } from '../../static/seam.js';
import { Steps } from '../../static/steps.js';
import { lineOf } from '../../static/series.js';
import { Stretch, unasked } from '../../static/stretch.js';

/** Random orders that are tried; `make test-long` tries more. */
const CASES = Number(process.env.SEAM_CASES ?? 1500);
const STEPS = 120;
const SHARDS = [0, 1];

function random(seed) {
  let state = (seed * 2654435761) >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const times = ({ rows }) => Array.from(rows.t.subarray(rows.from, rows.to));

/** A server of one series that comes through two shards, and the way from it to the page. */
class Server {
  constructor(any, { conflates }) {
    Object.assign(this, { any, conflates, epoch: 0, time: 0, connected: false, frames: [] });
    /** After which time each data set began. */
    this.began = [0];
    this.empty();
  }

  empty() {
    this.logs = SHARDS.map(() => []);
    this.committed = SHARDS.map(() => 0);
    /** Up to where each shard has been pushed to the page. */
    this.pushed = SHARDS.map(() => 0);
    this.subscribed = false;
  }

  /** One entry: some hold two messages, some messages two readings. */
  publish(shard) {
    const log = this.logs[shard];
    const place = { seq: (log.at(-1)?.place.seq ?? 0) + 1, index: 0 };
    const more = this.any(3);
    for (let n = 0; n < 1 + more; n += 1) {
      this.time += 1 + this.any(3);
      if (n > 0) place.index += this.any(2);
      const text = `${shard}:10-${place.seq}.${place.index}`;
      const { time: at } = this;
      log.push({ place: { ...place }, at, value: at, text, position: parsePosition(text) });
    }
  }

  /** An entry is committed as a whole. */
  commit(shard, all = false) {
    const log = this.logs[shard];
    let to = all ? log.length : Math.min(log.length, this.committed[shard] + 1 + this.any(4));
    while (to < log.length && log[to].place.seq === log[to - 1]?.place.seq) to += 1;
    this.committed[shard] = to;
  }

  push(shard, all = false) {
    if (!this.subscribed) return;
    const to = all ? this.logs[shard].length
      : Math.min(this.logs[shard].length, this.pushed[shard] + 1 + this.any(3));
    for (; this.pushed[shard] < to; this.pushed[shard] += 1) {
      const last = this.pushed[shard] === to - 1;
      if (this.conflates && !last) continue;
      this.frames.push({ kind: 'reading', reading: this.logs[shard][this.pushed[shard]] });
    }
  }

  /** Some readings are lost on their way, and the server knows. */
  lose(shard) {
    if (!this.subscribed) return;
    this.pushed[shard] = Math.min(this.logs[shard].length, this.pushed[shard] + 1 + this.any(5));
    this.frames.push({ kind: 'gap' });
  }

  reset() {
    this.empty();
    this.epoch += 1;
    this.began.push(this.time);
    if (!this.connected) return;
    // It goes on pushing, of what is stored now.
    this.subscribed = true;
    this.frames.push({ kind: 'reset' });
  }

  subscribe() {
    this.subscribed = true;
    this.pushed = [...this.committed];
    this.frames.push({ kind: 'subscribed', epoch: this.epoch });
  }

  cut() {
    Object.assign(this, { connected: false, subscribed: false, frames: [] });
  }

  history() {
    const rows = this.logs.flatMap((log, shard) => log.slice(0, this.committed[shard]));
    const token = this.logs.flatMap((log, shard) => log[this.committed[shard] - 1]?.text ?? []);
    const stretch = new Stretch(unasked().question, 'raw', parseToken(token.join()));
    for (const { at, value } of rows) stretch.rows.push(at, value);
    return stretch;
  }

  get ledger() {
    return this.logs.flat().map(({ at }) => at).sort((a, b) => a - b);
  }
}

/** What `live.js` and `timeline.js` do with the machines. */
class Page {
  constructor(server, most) {
    this.server = server;
    this.steps = new Steps();
    this.seam = new Seam(unasked, { most, flows: false });
    this.now = 0;
    this.questions = [];
    /** Which data set the server named last. */
    this.epoch = 0;
  }

  connect() {
    if (this.server.connected) return;
    this.server.connected = true;
    this.steps.opened(this.now);
    this.wish();
  }

  /** The wish may take a while to arrive; the server reads wishes in order. */
  wish() {
    this.server.subscribe();
  }

  cut() {
    this.server.cut();
    if (this.steps.state === 'away') return;
    this.steps.closed();
    this.seam.part();
  }

  hear() {
    const frame = this.server.frames.shift();
    if (!frame) return;
    if (frame.kind === 'reading') this.seam.take(frame.reading);
    if (frame.kind === 'gap') this.seam.part();
    if (frame.kind === 'subscribed') this.epoch = frame.epoch;
    const isAnother = frame.kind === 'subscribed' && this.steps.named(`epoch ${frame.epoch}`);
    if (frame.kind === 'reset' || isAnother) {
      this.seam.reset();
      this.seam.part();
    }
    const torn = frame.kind === 'gap' || frame.kind === 'reset';
    if (torn && this.steps.disturbed(this.now)) this.wish();
    if (frame.kind === 'subscribed' && this.steps.granted()) {
      this.seam.join();
      this.ask();
    }
  }

  ask() {
    if (this.seam.wants) this.renew();
  }

  /** Somebody turns to a range. What was asked before any name was heard is of any data set. */
  look() {
    if (this.steps.generation !== null) this.renew();
  }

  renew() {
    this.questions.push({ ticket: this.seam.ask(), stretch: null });
  }

  /** The server looks at a question; its answer is still on its way. */
  serve(question) {
    if (question) question.stretch ??= this.server.history();
  }

  /** Answers arrive in any order, or not at all. */
  arrive(n, fails) {
    const [question] = this.questions.splice(n, 1);
    if (!question) return;
    if (fails) this.seam.fail(question.ticket);
    else this.seam.answer(question.ticket, question.stretch ?? this.server.history());
  }

  tick(ms) {
    this.now += ms;
    if (this.server.connected && this.steps.isDue(this.now)) this.wish();
    this.ask();
  }
}

function run(seed, { conflates, most }) {
  const any = random(seed);
  const server = new Server(any, { conflates });
  const page = new Page(server, most);
  const calm = seed % 2 === 0;
  const look = () => {
    const seen = times(page.seam.shown);
    const [first = Infinity] = seen;
    assert.ok(first > server.began[page.epoch], `seed ${seed}: ${first} is of another data set`);
    for (let i = 1; i < seen.length; i += 1) {
      assert.ok(seen[i - 1] < seen[i], `seed ${seed}: ${seen[i]} twice, or out of order`);
    }
  };
  for (let step = 0; step < STEPS; step += 1) {
    const dice = any(100);
    if (dice < 30) server.publish(any(2));
    else if (dice < 42) server.commit(any(2));
    else if (dice < 57) server.push(any(2));
    else if (dice < 77) page.hear();
    else if (dice < 82) page.serve(page.questions[any(page.questions.length || 1)]);
    else if (dice < 88) page.arrive(any(page.questions.length || 1), any(4) === 0);
    else if (dice < 91) page.tick(any(3000));
    else if (dice < 93) page.connect();
    else if (dice < 95) page.look();
    else if (dice < 97) page.cut();
    else if (dice < 99) server.lose(any(2));
    else if (!calm) server.reset();
    look();
  }
  // All comes to rest: what is on its way arrives, and nothing disturbs any more.
  page.connect();
  for (let round = 0; round < 60; round += 1) {
    for (const shard of SHARDS) {
      server.push(shard, true);
      server.commit(shard, true);
    }
    while (server.frames.length > 0) page.hear();
    while (page.questions.length > 0) page.arrive(any(page.questions.length), false);
    page.tick(1000);
  }
  if (conflates) {
    page.renew();
    page.arrive(0, false);
  }
  look();
  assert.equal(page.seam.state, 'whole', `seed ${seed}`);
  assert.deepEqual(times(page.seam.shown), server.ledger, `seed ${seed}`);
  const { gaps } = lineOf(page.seam.shown.rows, { from: 0, to: 1e9, tears: page.seam.shown.tears });
  assert.deepEqual(gaps, [], `seed ${seed}: a hole where there is none`);
}

test('whatever the order of events, in the end each reading is shown, and never twice', () => {
  for (let seed = 1; seed <= CASES; seed += 1) run(seed, { conflates: false, most: 1000 });
});

test('with room for few readings it is the same, for history is asked again', () => {
  for (let seed = 1; seed <= CASES; seed += 1) run(seed, { conflates: false, most: 4 });
});

test('what was conflated away is there after the next history', () => {
  for (let seed = 1; seed <= CASES; seed += 1) run(seed, { conflates: true, most: 1000 });
});

/** A reading as the machines look at it. */
const at = (time, text) => ({ at: time, value: time, position: parsePosition(text) });
const answerOf = (token, ...found) => {
  const stretch = new Stretch(unasked().question, 'raw', parseToken(token));
  for (const time of found) stretch.rows.push(time, time);
  return stretch;
};
const flowing = (most = 1000) => new Seam(unasked, { most, flows: true });

test('a reading that came just before the question, and is not committed yet, is not lost', () => {
  const seam = flowing();
  seam.take(at(1, '0:1-1.0'));
  seam.take(at(2, '0:1-2.0'));
  const ticket = seam.ask();
  seam.take(at(3, '0:1-3.0'));
  assert.ok(seam.answer(ticket, answerOf('0:1-1.0', 1)));
  assert.deepEqual([times(seam.shown), seam.state], [[1, 2, 3], 'whole']);
});

test('an answer to an older question is not looked at, however late it comes', () => {
  const seam = flowing();
  const [old, young] = [seam.ask(), seam.ask()];
  assert.ok(seam.answer(young, answerOf('0:1-2.0', 1, 2)));
  assert.ok(!seam.answer(old, answerOf('0:1-1.0', 1)));
  const older = seam.ask();
  seam.reset();
  assert.ok(!seam.answer(older, answerOf('0:1-9.0', 9)));
  assert.deepEqual(times(seam.shown), []);
});

test('an answer that something was lost beside is shown, and asked for again', () => {
  const seam = flowing();
  const ticket = seam.ask();
  seam.part();
  seam.answer(ticket, answerOf('0:1-1.0', 1));
  assert.deepEqual([times(seam.shown), seam.state, seam.wants], [[1], 'torn', false]);
  seam.join();
  assert.ok(seam.wants);
});

test('while something is missing the line has a hole there, and none where nothing is', () => {
  const seam = flowing();
  seam.answer(seam.ask(), answerOf('0:1-3.0', 1000, 2000, 3000));
  seam.part();
  seam.join();
  seam.take(at(7000, '0:1-7.0'));
  seam.take(at(8000, '0:1-8.0'));
  const line = () => lineOf(seam.shown.rows, { from: 0, to: 9000, tears: seam.shown.tears });
  assert.deepEqual(line().gaps.map(({ from, to }) => [from, to]), [[3000, 7000]]);
  seam.answer(seam.ask(), answerOf('0:1-6.0', 1000, 2000, 3000, 4000, 5000, 6000));
  assert.deepEqual([line().gaps, line().t.length], [[], 8]);
});

test('what was not delivered before any answer is a hole, too', () => {
  const seam = flowing();
  seam.take(at(1000, '0:1-1.0'));
  seam.part();
  seam.join();
  seam.take(at(5000, '0:1-5.0'));
  const line = lineOf(seam.shown.rows, { from: 0, to: 9000, tears: seam.shown.tears });
  assert.deepEqual(line.gaps.map(({ from, to }) => [from, to]), [[1000, 5000]]);
});

test('a gap of a shard that a series does not come through is not its gap', () => {
  const seam = flowing();
  seam.tear(2);
  assert.ok(!seam.flows, 'nothing is known of where it comes through');
  seam.join();
  seam.answer(seam.ask(), answerOf('1:1-1.0', 1));
  seam.tear(2);
  assert.equal(seam.state, 'whole');
  seam.tear(1);
  assert.equal(seam.state, 'torn');
});

test('of one message several readings count, each once', () => {
  const reached = new Reached(parseToken('0:1-1.4'));
  const takes = (time, text) => reached.takes(at(time, text));
  assert.deepEqual([takes(1, '0:1-1.4'), takes(2, '0:1-2.0'), takes(3, '0:1-2.0')],
    [false, true, true]);
  assert.deepEqual([takes(2, '0:1-2.0'), takes(4, '0:1-1.9'), takes(5, '1:1-0.0')],
    [false, false, true]);
});

test('a data set of another name is another one, and one without a name is any', () => {
  const steps = new Steps();
  const check = (name, expected) => assert.equal(steps.named(name), expected, `${name}`);
  check(null, false);
  check('one', false);
  check(null, false);
  check('one', false);
  check('two', true);
  check('', true);
  check('two', true);
});

test('a first disturbance is answered at once, a row of them ever more slowly', () => {
  const steps = new Steps();
  assert.ok(!steps.disturbed(0), 'nobody is connected');
  steps.opened(0);
  assert.ok(!steps.disturbed(1), 'the answer is on its way, and history comes after it');
  const waits = [];
  let now = 10;
  for (let n = 0; n < 8; n += 1) {
    assert.ok(steps.granted());
    assert.ok(!steps.granted());
    const from = now;
    if (!steps.disturbed(now)) while (!steps.isDue(now)) now += 100;
    waits.push(now - from);
  }
  assert.deepEqual(waits, [0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.ok(!steps.isIgnored(now + 15_000) && steps.isIgnored(now + 15_001));
  steps.granted();
  assert.ok(steps.disturbed(now + 61_000), 'calm for a minute');
});

/** A stretch of a series without a browser: its rows, its gaps, its sums, when it has become old. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePosition, parseToken } from '../../static/position.js';
import { addressOf, pointsFor } from '../../static/question.js';
import { rangeNamed, spanOf, zoomOf } from '../../static/ranges.js';
import { Columns, lineOf } from '../../static/series.js';
import { openSilence, summarise } from '../../static/statistics.js';
import { Stretch } from '../../static/stretch.js';
import { Timeline } from '../../static/timeline.js';
import { bandOf, endAt, Windows } from '../../static/windows.js';

const MINUTE = 60_000;
const QUESTION = { from: 0, to: null, live: true, points: 1000, resolution: 'auto' };
const readingsOf = (pairs) => {
  const stretch = new Stretch(QUESTION, 'raw', new Map());
  for (const [t, v] of pairs) stretch.rows.push(t, v);
  return stretch;
};
/** Windows of a minute, each of so many readings around 10. */
const minutesOf = (minutes, count = 60) => {
  const stretch = new Stretch(QUESTION, '1m', new Map());
  for (const i of minutes) stretch.rows.append({ t: i * MINUTE, v: 10, low: 9, high: 12, count });
  return stretch;
};
const seconds = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

test('a stretch without readings is a null between its ends', () => {
  const columns = new Columns(1000);
  for (const s of [0, 1, 2, 3, ...seconds(63, 106)]) columns.push(s * 1000, s);
  const { v, gaps } = lineOf(columns, { from: 0, to: 120_000 });
  assert.equal(v.indexOf(null), 4);
  assert.deepEqual(gaps, [{ from: 3000, to: 63_000, before: 3, after: 63, silence: 60_000 }]);
});

/** Ten seconds without the server were a straight line and “no gap”. */
test('silence is a gap from three of the series\' own intervals on', () => {
  const gapsAfter = (interval, silence) => {
    const t = seconds(0, 40).map((i) => i * interval + (i < 20 ? 0 : silence - interval));
    const stretch = readingsOf(t.map((at) => [at, 1]));
    const { gaps, gapMs } = summarise(stretch, 0, Infinity);
    assert.equal(lineOf(stretch.rows, { from: 0, to: 1e9 }).gaps.length, gaps);
    return gapMs;
  };
  const check = (interval, silence, said) => assert.equal(gapsAfter(interval, silence), said);
  check(1000, 10_000, 10_000);
  check(500, 10_000, 10_000);
  check(1000, 3000, 0);
  check(10_000, 30_000, 0);
  check(10_000, 31_000, 31_000);
  check(60_000, 150_000, 0);
});

test('a sensor that is late has a gap up to now, one that the server hears has none', () => {
  const stretch = readingsOf(seconds(0, 10).map((i) => [i * 1000, 1]));
  const silence = (status) => openSilence({ lastAt: 9000, status }, stretch, 79_000);
  assert.deepEqual(['offline', 'late', 'online', null].map(silence), [70_000, 70_000, 0, 70_000]);
  assert.equal(openSilence({ lastAt: 9000, status: null }, stretch, 12_000), 0);
  assert.equal(openSilence({ lastAt: 9000, status: 'late' }, readingsOf([]), 79_000), 0);
});

test('a missing window is a gap where every window usually has readings', () => {
  const { rows } = minutesOf([0, 1, 2, 3, 5, 6, 7, 8]);
  const { t, v, low, high, gaps } = bandOf(rows, 0, 10 * MINUTE);
  assert.deepEqual(v, [10, 10, 10, 10, null, 10, 10, 10, 10]);
  assert.deepEqual([low[0], high[0], low[4], high[4]], [9, 12, null, null]);
  assert.equal(t[0], MINUTE / 2);
  assert.deepEqual(gaps, [
    { from: 3.5 * MINUTE, to: 5.5 * MINUTE, before: 10, after: 10, silence: MINUTE },
  ]);
});

test('a window without a reading is no gap of a sensor that measures once a minute', () => {
  const once = minutesOf([0, 1, 2, 4, 5, 6, 7, 8, 9, 10], 1);
  assert.deepEqual(bandOf(once.rows, 0, 20 * MINUTE).gaps, []);
  const every5 = minutesOf([0, 5, 10, 15, 20, 25, 55, 60], 1);
  assert.deepEqual(bandOf(every5.rows, 0, 70 * MINUTE).gaps.map((gap) => gap.from / MINUTE),
    [25.5]);
});

test('windows that the server left out are no gaps', () => {
  const thinned = minutesOf(seconds(0, 400).map((i) => i * 6 + (i % 2) * 2));
  assert.deepEqual(bandOf(thinned.rows, 0, 2500 * MINUTE).gaps, []);
});

test('a live reading counts in the newest window, and a later one opens the next', () => {
  const windows = new Windows(MINUTE, 100);
  windows.append({ t: 0, v: 10, low: 9, high: 12, count: 3 });
  windows.push(59_999, 18);
  assert.deepEqual(windows.at(0), { t: 0, v: 12, low: 9, high: 18, count: 4 });
  windows.push(60_000, 7);
  assert.deepEqual(windows.at(1), { t: MINUTE, v: 7, low: 7, high: 7, count: 1 });
  windows.push(30_000, 2);
  assert.deepEqual(windows.at(0), { t: 0, v: 10, low: 2, high: 18, count: 5 });
});

test('windows and readings are bounded, whatever comes live', () => {
  const windows = new Windows(MINUTE, 100);
  for (let i = 0; i < 1000; i += 1) windows.push(i * MINUTE, i);
  assert.ok(windows.length <= 100);
  assert.equal(windows.at(windows.length - 1).v, 999);
});

test('a window that is still filling does not run ahead of the newest reading', () => {
  const lines = bandOf(minutesOf([0, 1, 2]).rows, 0, 3 * MINUTE);
  endAt(lines, { t: 2 * MINUTE + 1000, v: 11 });
  assert.deepEqual(lines.t.slice(-2), [2 * MINUTE + 1000, 2 * MINUTE + 1000]);
  assert.deepEqual([lines.v.at(-1), lines.low.at(-1), lines.high.at(-1)], [11, 11, 11]);
  assert.equal(lines.windows.at(-1), null);
});

test('a summary counts what is in the range, edges included', () => {
  const stretch = readingsOf(seconds(0, 100).map((i) => [i * 1000, i + 1]));
  const { count, min, max, avg } = summarise(stretch, 0, 99_000);
  assert.deepEqual([count, min, max, avg], [100, 1, 100, 50.5]);
  assert.equal(summarise(stretch, 10_000, 19_000).count, 10);
  assert.equal(summarise(stretch, 200_000, 300_000), null);
});

test('a summary of windows weighs each by its readings', () => {
  const { rows, ...rest } = minutesOf([0]);
  rows.append({ t: MINUTE, v: 20, low: 0, high: 40, count: 20 });
  const { count, avg, min, minAt, max } = summarise({ rows, ...rest }, 0, 2 * MINUTE);
  assert.deepEqual([count, avg, min, minAt, max], [80, 12.5, 0, MINUTE, 40]);
});

test('a stretch takes live readings after its position, and none beyond its end', () => {
  const question = { ...QUESTION, to: 10_000, live: false };
  const stretch = new Stretch(question, 'raw', parseToken('0:5-1.3'));
  const take = (at, position) => stretch.take({ at, value: 1, position: parsePosition(position) });
  take(1000, '0:5-1.3');
  take(2000, '0:5-1.4');
  take(10_000, '0:5-1.5');
  assert.deepEqual([stretch.rows.length, stretch.rows.newest], [1, 2000]);
});

test('a question is an address below the page', () => {
  const question = { from: 0, to: 1000, live: false, points: 2, resolution: '1m' };
  const address = addressOf({ id: 'a/b c', type: '&t' }, question, { format: 'csv' });
  const [path, query] = address.split('?');
  assert.equal(path, 'api/sensors/a%2Fb%20c/readings');
  assert.deepEqual(Object.fromEntries(new URLSearchParams(query)), {
    type: '&t', from: '1970-01-01T00:00:00.000Z', to: '1970-01-01T00:00:01.000Z', points: '2',
    resolution: '1m', format: 'csv',
  });
  assert.throws(() => addressOf({ id: '..', type: 't' }, question), /cannot be part/);
  assert.deepEqual([-5, 400, 99_999].map(pointsFor), [2, 800, 10_000]);
});

test('yesterday is the whole day before, and a zoom is what the URL says', () => {
  const at = new Date(2026, 5, 16, 14, 3).getTime();
  const { from, to } = spanOf(rangeNamed('yesterday'), at);
  assert.deepEqual([new Date(from), new Date(to)], [new Date(2026, 5, 15), new Date(2026, 5, 16)]);
  assert.deepEqual(zoomOf({ from: '5', to: '9' }), { from: 5, to: 9 });
  for (const [a, b] of [['', ''], ['9', '5'], ['x', '5'], ['5', '']]) {
    assert.equal(zoomOf({ from: a, to: b }), null);
  }
});

test('a live answer is asked for anew when its range has moved or much was added', () => {
  const timeline = new Timeline({
    pixels: () => 500, series: () => null, busy: () => {}, changed: () => {},
  });
  timeline.turnTo({ id: 'a', type: 'b', range: '1h' }, null);
  const { stretch } = timeline;
  timeline.waiting = false;
  timeline.askedAt = 0;
  assert.deepEqual([10_000, 59_000, 61_000].map((at) => timeline.isDue(at)), [false, false, true]);
  stretch.added = 6000;
  assert.deepEqual([10_000, 59_000].map((at) => timeline.isDue(at)), [false, true]);
  timeline.turnTo({ id: 'a', type: 'b', range: '1h' }, { from: 0, to: 1000 });
  timeline.waiting = false;
  stretch.question.live = false;
  assert.equal(timeline.isDue(3_600_000), false);
});

/** The parts of the page that need no browser: columns, positions, numbers, places. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalogue } from '../../static/catalogue.js';
import { simulateCommand } from '../../static/empty.js';
import { rangeTitle } from '../../static/detailparts.js';
import { decode, malformed } from '../../static/events.js';
import {
  age, compact, dayInWeek, decimalsOf, number, rate, useUtc, withUnit,
} from '../../static/format.js';
import { grouped, neighbour, placed } from '../../static/layout.js';
import { covers, parsePosition, parseToken } from '../../static/position.js';
import { Pulse } from '../../static/pulse.js';
import { Removed } from '../../static/remove.js';
import { Columns } from '../../static/series.js';

const columnsOf = (pairs, most = 1000) => {
  const columns = new Columns(most);
  for (const [t, v] of pairs) columns.push(t, v);
  return columns;
};
const listed = (columns) => Array.from(columns.t.subarray(columns.from, columns.to));

test('columns keep the order of time whatever comes late', () => {
  assert.deepEqual(listed(columnsOf([[5, 0], [1, 0], [9, 0], [3, 0], [7, 0]])), [1, 3, 5, 7, 9]);
});

test('columns are bounded and keep the newest', () => {
  const columns = columnsOf(Array.from({ length: 10_000 }, (_, i) => [i, i]), 100);
  assert.ok(columns.length <= 100 && columns.length > 80);
  assert.equal(columns.newest, 9999);
  assert.ok(columns.t.length <= 256);
});

test('positions compare as numbers within their shard', () => {
  const token = parseToken('0:1700000000000-9.3,2:5-0.0');
  const covered = (text) => covers(token, parsePosition(text));
  assert.ok(covered('0:1700000000000-9.3'));
  assert.ok(covered('0:999-99.9'));
  assert.ok(!covered('0:1700000000000-10.0'));
  assert.ok(!covered('0:1700000000000-9.4'));
  assert.ok(!covered('1:1-0.0'));
  assert.ok(!covered('nonsense'));
  assert.ok(covers(parseToken('0:7-1'), parsePosition('0:7-1.511')));
});

test('numbers, counts, rates and ages read as the design says', () => {
  assert.equal(number(-6.4, 1), '\u22126.4');
  assert.equal(number(-0.01, 1), '0.0');
  assert.equal(number(1_234_567, 0), '1.23 × 10⁶');
  assert.equal(number(-0.00001234, 4), '\u22121.23 × 10⁻⁵');
  assert.deepEqual([compact(9999), compact(93_040), compact(938_700), compact(7_000_000)],
    ['9,999', '93.0\u202fk', '939\u202fk', '7.0\u202fM']);
  assert.deepEqual([10, 1, 0.1, 4 / 3600].map(rate), ['10/s', '1.0/s', '6/min', '4/h']);
  assert.deepEqual([age(1.4), age(12), age(240), age(11_520), age(432_000)],
    ['now', '12\u202fs', '4\u202fmin', '3\u202fh 12\u202fmin', '5\u202fd']);
  assert.deepEqual([withUnit('5', 'W'), withUnit('5', '°'), withUnit('5', '')],
    ['5\u202fW', '5°', '5']);
  assert.deepEqual([decimalsOf(21.5), decimalsOf(21), decimalsOf(1 / 3)], [1, 0, 4]);
});

test('frames of another shape are counted, never shown', () => {
  const before = malformed.count;
  assert.equal(decode('{'), null);
  assert.equal(decode('[]'), null);
  const broken = [{}, { sensor_id: 'a', value: 'x', timestamp: 0 }, { sensor_id: 1, value: 1 }];
  for (const data of broken) {
    assert.deepEqual(decode(JSON.stringify({ event: 'sensor_update', data })).readings, []);
  }
  assert.equal(malformed.count - before, 5);
  assert.equal(decode('{"event":"something_new"}').kind, 'other');
});

test('an older reading does not take the place of a newer one', () => {
  const catalogue = new Catalogue();
  const reading = { id: 'a', type: 'b', unit: '', location: null, metadata: {}, position: null };
  catalogue.applyReading({ ...reading, value: 2, at: 2000 });
  catalogue.applyReading({ ...reading, value: 1, at: 1000 });
  assert.equal(catalogue.find('a', 'b').last, 2);
  assert.equal(catalogue.series.size, 1);
  catalogue.applyReading({ ...reading, id: '', type: 'ab', value: 1, at: 1000 });
  catalogue.applyReading({ ...reading, id: 'ab', type: '', value: 1, at: 1000 });
  assert.equal(catalogue.series.size, 3);
});

test('a value is never beyond its own bounds, though the server counts it a moment later', () => {
  const catalogue = new Catalogue();
  const reading = { id: 'a', type: 'b', unit: '', location: null, metadata: {}, position: null };
  const row = { ...reading, min: 1, max: 5, avg: 3, stddev: 1, count: 9, status: null };
  catalogue.applyRows([{ ...row, last: 3, lastAt: 1000 }], { at: 1000, whole: true });
  catalogue.applyReading({ ...reading, value: 7, at: 2000 });
  catalogue.applyRows([{ ...row, last: 3, lastAt: 1000 }], { at: 2000, whole: false });
  const { min, max, last } = catalogue.find('a', 'b');
  assert.deepEqual([min, max, last], [1, 7, 7]);
});

test('what was removed behind the last look of the server is not listed again', () => {
  const removed = new Removed();
  const rows = [{ id: 'a' }, { id: 'b' }];
  assert.equal(removed.without(rows, null), rows);
  const before = Date.now();
  removed.note('a');
  assert.deepEqual([removed.since('a', before), removed.since('b', before)], [true, false]);
  assert.equal(removed.since('a', Date.now() + 1000), false);
  const listed = (asOf) => removed.without(rows, asOf).map((row) => row.id);
  assert.deepEqual(listed(before - 5000), ['b']);
  assert.deepEqual(listed(null), ['b']);
  assert.deepEqual(listed(before + 1000), ['b']);
  // It came back: the server has looked since.
  assert.deepEqual(listed(before + 5000), ['a', 'b']);
  assert.deepEqual(listed(before), ['a', 'b']);
});

test('only a steady flow that stops is silence', () => {
  const steady = new Pulse();
  for (let s = 0; s < 30; s += 1) steady.beat(s * 1000, true);
  assert.equal(steady.silentSince(33_000), null);
  assert.equal(steady.silentSince(34_500), 29_000);
  const seldom = new Pulse();
  for (let s = 0; s < 600; s += 60) seldom.beat(s * 1000, true);
  assert.equal(seldom.silentSince(900_000), null);
  seldom.asked(900_000);
  assert.equal(seldom.silentSince(904_000), null);
  assert.equal(seldom.silentSince(906_000), 540_000);
});

/** With Redis stopped, “for 24 s” became “for 8 s” when the connection was made anew. */
test('a silence that has begun begins no later, whatever else comes but readings', () => {
  const pulse = new Pulse();
  for (let s = 0; s < 30; s += 1) pulse.beat(s * 1000, true);
  assert.equal(pulse.silentSince(35_000), 29_000);
  pulse.beat(44_000, false);
  assert.equal(pulse.silentSince(45_000), 29_000);
  pulse.reconnected();
  pulse.asked(50_000);
  pulse.beat(58_000, false);
  pulse.told(58_000, 20_000);
  assert.equal(pulse.silentSince(60_000), 29_000);
  pulse.beat(61_000, true);
  assert.equal(pulse.silentSince(62_000), null);
});

test('a server that has heard nothing for five seconds is silent, until it hears again', () => {
  const pulse = new Pulse();
  pulse.beat(10_000, true);
  pulse.told(12_000, 2000);
  assert.equal(pulse.silentSince(12_000), null);
  pulse.told(16_000, 6000);
  assert.equal(pulse.silentSince(16_000), 10_000);
  pulse.told(18_000, 300);
  assert.equal(pulse.silentSince(18_000), null);
});

/** A mean of 5.5 was shown as 6, and one of nothing but ones as 1.00. */
test('a mean has a decimal more than whole numbers, where it says something', () => {
  const more = (values) => {
    const one = new Catalogue().open('a', 't');
    for (const value of values) one.learnDecimals(value);
    [one.min, one.max] = [Math.min(...values), Math.max(...values)];
    return one.meanDecimals;
  };
  assert.deepEqual([[5, 6], [1, 1], [0, 1], [20.5, 24], [900, 1846], [3, 3]].map(more),
    [1, 0, 2, 0, 0, 0]);
});

test('groups that fit share a row, and keys lead through all of them', () => {
  const catalogue = new Catalogue();
  for (const [place, n] of [['A', 2], ['B', 1], ['C', 5], ['', 1]]) {
    for (let i = 0; i < n; i += 1) catalogue.open(`${place}${i}`, 't').location = place || null;
  }
  const groups = grouped(catalogue.series.values(), 'location');
  assert.deepEqual(groups.map((group) => group.name), ['A', 'B', 'C', '']);
  const sizes = { width: 990, card: 100, cardWidth: 300, head: 40, gap: 10 };
  const layout = placed(groups, sizes, new Set());
  assert.equal(layout.columns, 3);
  assert.deepEqual(layout.heads.map((at) => at.y), [0, 0, 140, 390]);
  assert.equal(layout.heads[1].x + layout.heads[1].width, 990);
  assert.equal(layout.height, 530);
  const ids = (key, from) => layout.cards[neighbour(layout.cards, from, key, 1)].series.id;
  assert.deepEqual([ids('ArrowDown', 1), ids('ArrowRight', 1), ids('End', 0)], ['C1', 'B0', '0']);
  assert.deepEqual([ids('ArrowUp', 8), ids('ArrowDown', 8), ids('ArrowUp', 0)], ['C3', '0', 'A0']);
});

test('the simulator is pointed at the server that runs', () => {
  assert.equal(simulateCommand(null, 'localhost'), 'streamgauge simulate');
  const open = { port: 1884, username: null };
  assert.equal(simulateCommand(open, '[::1]'), 'streamgauge simulate --to [::1]:1884');
  const guarded = simulateCommand({ port: 1883, username: 'device' }, 'gauge');
  const words = ['MQTT_USERNAME=device', 'MQTT_PASSWORD=PASSWORD', '\\', 'streamgauge', 'simulate',
    '--to', 'gauge:1883'];
  assert.deepEqual(guarded.split(/\s+/), words);
});

/** Dates were taken apart at their first comma, which here stands behind the day of the week. */
test('dates stay whole in languages that write them with commas', () => {
  useUtc(true);
  const at = Date.UTC(2026, 10, 15, 22, 20);
  assert.equal(dayInWeek(at), 'Sun, Nov 15');
  assert.equal(rangeTitle(Date.UTC(2025, 10, 23), at, true), 'Sun, Nov 23, 2025, 00:00 to now');
  assert.equal(rangeTitle(at - 60_000, at, false), 'Sun, Nov 15, 22:19 to 22:20:00');
  useUtc(false);
});

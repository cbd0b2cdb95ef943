/** Sensors that went quiet: what their cards say, what the frame counts, what is read out. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sentenceOf } from '../../static/says.js';
import { cardOf, role, text, until } from './page.mjs';
import { openLive, page, server, setStage } from './stage.mjs';

setStage();

const KITCHEN = { sensor_id: 'kitchen', sensor_type: 'temperature', unit: '°C' };
const SENSORS = ['kitchen', 'cellar', 'roof'];
/** Each sent last so long ago, in seconds. */
const furnish = (ages) => SENSORS.forEach((sensor_id, n) => {
  for (const age of [60, 40, 20, 0]) {
    const timestamp = new Date(Date.now() - (ages[n] + age) * 1000).toISOString();
    const reading = { sensor_id, sensor_type: 'temperature', unit: '°C', value: 20 + age / 100 };
    server.publish({ ...reading, timestamp }, { push: false });
  }
});
const statusOf = (id) => () => cardOf(page, id, 'temperature').getAttribute('data-status');

test('late and offline are a shape, a word and a colour, online is an age', async () => {
  furnish([2, 48, 3 * 3600 + 12 * 60]);
  SENSORS.forEach((id, n) =>
    server.turn(id, 'temperature', ['online', 'late', 'offline'][n]));
  await openLive();
  const seen = [];
  for (const id of SENSORS) {
    const card = cardOf(page, id, 'temperature');
    const age = await role(card, 'age').evaluate((element) =>
      [element.textContent, getComputedStyle(element).color]);
    const glyph = await card.locator('.glyph').getAttribute('data-is');
    seen.push([glyph, ...age]);
  }
  assert.match(seen[0][1], /^[2-9]\u202fs$/);
  assert.match(seen[1][1], /^late · (4[89]|5\d)\u202fs$/);
  assert.equal(seen[2][1], 'offline · 3\u202fh 12\u202fmin');
  assert.deepEqual(seen.map(([glyph]) => glyph), ['online', 'late', 'offline']);
  assert.deepEqual(seen.slice(1).map(([, , colour]) => colour),
    ['rgb(138, 98, 0)', 'rgb(168, 17, 63)']);
  // Quiet when well: only the exceptions have words in the head of the group.
  assert.equal(await page.locator('.exceptions').textContent(), '1 late1 offline');
  assert.equal(await cardOf(page, 'roof', 'temperature').locator('.spark em').textContent(),
    'nothing in 5 min');
  assert.deepEqual(page.faults, []);
});

/** A sensor that was offline for minutes still had “1.7/s” on its card and “no gap” in its range. */
test('what is offline has no rate, and a gap up to now', async () => {
  for (let age = 120; age > 70; age -= 1) {
    const timestamp = new Date(Date.now() - age * 1000).toISOString();
    server.publish({ ...KITCHEN, value: age, timestamp }, { push: false });
  }
  server.turn('kitchen', 'temperature', 'online');
  await openLive();
  const card = cardOf(page, 'kitchen', 'temperature');
  const rate = text(role(card, 'rate'));
  await until(rate, (said) => said === '1.0/s');
  server.turn('kitchen', 'temperature', 'offline');
  await until(rate, (said) => said === '');
  await card.click();
  const cell = page.locator('.range-table td', { has: role(page, 'range-readings') });
  await until(text(cell.locator('small')), (said) => /^1 gap, 1\u202fmin$/.test(said));
  server.turn('kitchen', 'temperature', 'online');
  await until(text(cell.locator('small')), (said) => said === 'no gap');
  assert.deepEqual(page.faults, []);
});

test('a sensor that goes quiet and comes back is told by the server, and only then', async () => {
  furnish([2, 2, 2]);
  SENSORS.forEach((id) => server.turn(id, 'temperature', 'online'));
  await openLive();
  await until(statusOf('cellar'), (status) => status === 'online');
  for (const status of ['late', 'offline', 'online']) {
    server.turn('cellar', 'temperature', status);
    await until(statusOf('cellar'), (said) => said === status);
  }
  server.turn('cellar', 'temperature', 'late');
  await until(statusOf('cellar'), (said) => said === 'late');
  await cardOf(page, 'cellar', 'temperature').click();
  await until(text(page.locator('.facts .status')), (said) => said === 'late');
  assert.deepEqual(page.faults, []);
});

test('what is not known to be online does not look so without a connection', async () => {
  furnish([2, 48, 4000]);
  SENSORS.forEach((id, n) =>
    server.turn(id, 'temperature', ['online', 'late', 'offline'][n]));
  await openLive();
  await until(statusOf('roof'), (status) => status === 'offline');
  await server.stop();
  await until(statusOf('kitchen'), (status) => status === 'unknown');
  assert.deepEqual([await statusOf('cellar')(), await statusOf('roof')()], ['late', 'offline']);
});

test('sensors that went quiet are read out together', async () => {
  furnish([2, 2, 2]);
  SENSORS.forEach((id) => server.turn(id, 'temperature', 'online'));
  await openLive();
  await until(statusOf('cellar'), (status) => status === 'online');
  server.turn('kitchen', 'temperature', 'offline');
  server.turn('cellar', 'temperature', 'offline');
  server.turn('roof', 'temperature', 'late');
  const says = page.locator('#says');
  await until(text(says), (said) => said === '2 sensors offline, 1 late');
  server.turn('kitchen', 'temperature', 'online');
  server.turn('roof', 'temperature', 'online');
  server.turn('roof', 'temperature', 'late');
  const began = Date.now();
  await until(text(says), (said) => said === '1 sensor back', { ms: 12_000 });
  assert.ok(Date.now() - began > 5000, 'not before ten seconds have passed');
  assert.deepEqual(page.faults, []);
});

test('a sentence counts sensors, each once, by the worst of what it measures', () => {
  const turn = (id, from, to) => ({ id, from, to });
  const check = (said, ...turns) => assert.equal(sentenceOf(turns), said);
  check('');
  check('', turn('a', 'late', 'late'));
  check('1 sensor late', turn('a', 'online', 'late'));
  check('1 sensor offline', turn('a', 'late', 'offline'), turn('a', 'online', 'late'));
  check('1 sensor offline, 1 late, 2 back', turn('a', 'late', 'online'),
    turn('b', 'offline', 'online'), turn('c', 'online', 'late'), turn('d', 'late', 'offline'));
});

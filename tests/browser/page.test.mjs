/** The page in a real browser, against the small server of `mock-server.mjs`. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cardOf, role, text, until } from './page.mjs';
import { open, openLive, server, setStage } from './stage.mjs';

setStage();

const KITCHEN = {
  sensor_id: 'kitchen', sensor_type: 'temperature', unit: '°C', location: 'Kitchen',
};
/** Ten readings of the last ten minutes: 20.0 to 24.5. */
const fill = (from = KITCHEN) => {
  for (let i = 0; i < 10; i += 1) {
    const timestamp = new Date(Date.now() - (10 - i) * 60_000).toISOString();
    server.publish({ ...from, value: 20 + i / 2, timestamp }, { push: false });
  }
};

test('a card shows value, unit, extremes, count and place of its series', async () => {
  fill();
  const page = await open();
  const card = cardOf(page, 'kitchen', 'temperature');
  await card.waitFor();
  assert.equal(await role(card, 'value').textContent(), '24.5');
  assert.equal(await role(card, 'unit').textContent(), '°C');
  assert.equal(await role(card, 'max').textContent(), '24.5');
  assert.equal(await role(card, 'min').textContent(), '20.0');
  assert.match(await role(card, 'avg').textContent(), /^22\.[23]$/);
  assert.equal(await role(card, 'count').textContent(), '10 readings');
  assert.match(await role(card, 'age').textContent(), /^1\u202fmin$/);
  assert.equal(await page.locator('h2 bdi').first().textContent(), 'Kitchen');
  assert.deepEqual(page.faults, []);
});

test('a reading changes its card at once and its statistics soon', async () => {
  fill();
  const page = await openLive();
  const card = cardOf(page, 'kitchen', 'temperature');
  server.publish({ ...KITCHEN, value: 31.25 });
  await until(text(role(card, 'value')), (said) => said === '31.25', { ms: 500 });
  await until(text(role(card, 'age')), (said) => said === 'now', { ms: 500 });
  await until(text(role(card, 'count')), (said) => said === '11 readings');
  assert.equal(await role(card, 'max').textContent(), '31.25');
  assert.deepEqual(page.faults, []);
});

test('a reading measured earlier than the shown one does not replace it', async () => {
  fill();
  const page = await openLive();
  const card = cardOf(page, 'kitchen', 'temperature');
  server.publish({ ...KITCHEN, value: 99, timestamp: '2024-01-01T12:00:00Z' });
  await until(text(role(card, 'count')), (said) => said === '11 readings');
  assert.equal(await role(card, 'value').textContent(), '24.5');
  assert.deepEqual(page.faults, []);
});

test('a batch of readings changes every card it names', async () => {
  fill();
  fill({ ...KITCHEN, sensor_id: 'cellar', location: 'Cellar' });
  const page = await openLive();
  const timestamp = new Date().toISOString();
  const readings = ['kitchen', 'cellar'].map((sensor_id, i) => ({
    ...KITCHEN, sensor_id, value: 50 + i, timestamp, metadata: {}, position: `0:1-${i}.0`,
  }));
  server.send('sensor_updates', { readings, conflated: 7 });
  await until(text(role(cardOf(page, 'kitchen', 'temperature'), 'value')), (s) => s === '50.0');
  await until(text(role(cardOf(page, 'cellar', 'temperature'), 'value')), (s) => s === '51.0');
  assert.deepEqual(page.faults, []);
});

test('the first reading turns the empty page into a card', async () => {
  const page = await open();
  await role(page, 'empty').waitFor();
  const command = role(page, 'command-publish');
  await until(text(command), (said) => said.includes('-h 127.0.0.1 -p 1883'));
  assert.match(await command.textContent(), /-t sensors\/kitchen\/temperature/);
  server.publish({ ...KITCHEN, value: 21.5, location: null });
  await cardOf(page, 'kitchen', 'temperature').waitFor({ timeout: 2000 });
  assert.equal(await role(page, 'empty').isVisible(), false);
  assert.deepEqual(page.faults, []);
});

test('without a listener the command names no host, with a user it names the user', async () => {
  server.listener = null;
  const bare = await open();
  await role(bare, 'empty').waitFor();
  assert.match(await role(bare, 'command-publish').textContent(), /^mosquitto_pub -q 1/);
  server.listener = { port: 1884, username: 'device' };
  const guarded = await open();
  const command = role(guarded, 'command-publish');
  await until(text(command), (said) => said.includes('-p 1884 -u device -P PASSWORD'));
  assert.deepEqual([...bare.faults, ...guarded.faults], []);
});

test('hostile names, units and metadata are text and nothing else', async () => {
  const names = [
    '<img src=x onerror=alert(1)>', '</script><script>alert(1)</script>', '__proto__',
    'constructor', '"\'&<b>', '\u202egnp.exe', '../../etc', '🌡️'.repeat(40), '%2e%2e',
  ];
  for (const name of names) {
    fill({
      sensor_id: name, sensor_type: name, unit: name.slice(0, 32), location: name,
      metadata: { [name]: name, text: name.repeat(20) },
    });
  }
  const page = await open();
  await until(() => page.locator('article').count(), (n) => n === names.length);
  for (const name of names) {
    const card = page.locator('article').filter({ has: page.locator(`.id[title=${css(name)}]`) });
    assert.equal(await card.locator('.id').textContent(), name);
  }
  for (const name of names) {
    const fragment = `#${new URLSearchParams({ sensor: name, type: name, range: '1h' })}`;
    await page.evaluate((hash) => (location.hash = hash), fragment);
    await until(text(role(page, 'range-readings')), (said) => said === '10');
    await until(text(role(page, 'metadata')), (said) => said.includes(JSON.stringify(name)));
  }
  assert.equal(await page.locator('img, main script, main b:text-is("\'&")').count(), 0);
  assert.equal(await page.evaluate(() => Object.keys(Object.prototype).length), 0);
  assert.deepEqual(page.faults, []);
});

const css = (value) => `"${value.replace(/["\\]/g, '\\$&')}"`;

test('search finds by id, type and place, and says when nothing matches', async () => {
  fill();
  fill({ ...KITCHEN, sensor_id: 'cellar', sensor_type: 'humidity', location: 'Below' });
  const page = await open();
  await until(() => page.locator('article').count(), (n) => n === 2);
  await page.keyboard.press('/');
  for (const [query, hits] of [['KITCH', 1], ['humid', 1], ['below', 1], ['e', 2], ['xyz', 0]]) {
    await page.fill('#search', query);
    await until(() => page.locator('article').count(), (n) => n === hits);
    const inUrl = async () => new URLSearchParams(new URL(page.url()).hash.slice(1)).get('q');
    await until(inUrl, (said) => said === query);
  }
  await page.getByRole('button', { name: 'Show all 2' }).click();
  await until(() => page.locator('article').count(), (n) => n === 2);
  await page.fill('#search', 'cellar');
  await page.press('#search', 'Enter');
  await until(text(page.locator('h1 .id')), (said) => said === 'cellar');
  assert.deepEqual(page.faults, []);
});

/** It said “2 of 129” beside chips that counted all 129. */
test('the states are those of what the search leaves, and end before the edge', async () => {
  for (let i = 0; i < 129; i += 1) {
    const sensor_id = `${i < 2 ? 'attic' : 'cellar'}_${i}`;
    server.publish({ ...KITCHEN, sensor_id, value: i }, { push: false });
    server.turn(sensor_id, 'temperature', ['late', 'online', 'offline'][Math.min(i, i % 3)]);
  }
  const page = await openLive({ width: 390 });
  const counts = async () => [await role(page, 'total').textContent(),
    ...await page.locator('.toolbar .state:visible .n').allTextContents()].join(' ');
  await until(counts, (said) => said === '129 43 43 43');
  const gap = await page.evaluate(() =>
    innerWidth - document.querySelector('.toolbar .segments').getBoundingClientRect().right);
  assert.ok(gap >= 11.5, `${gap} px to the right edge`);
  await page.fill('#search', 'attic');
  await until(counts, (said) => said === '2 of 129 1 1');
  await page.fill('#search', '');
  await until(counts, (said) => said === '129 43 43 43');
  assert.deepEqual(page.faults, []);
});

test('cards are grouped by place or by type', async () => {
  fill();
  fill({ ...KITCHEN, sensor_id: 'cellar', location: null });
  const page = await open();
  const heads = () => page.locator('.group-head bdi').allTextContents();
  await until(heads, (names) => names.join() === 'Kitchen,No location');
  await page.getByRole('button', { name: 'Type', exact: true }).click();
  await until(heads, (names) => names.join() === 'temperature');
  await page.getByRole('button', { name: 'None' }).click();
  await until(heads, (names) => names.length === 0);
  assert.equal(await page.locator('article').count(), 2);
  assert.deepEqual(page.faults, []);
});

test('of ten thousand series only those on the screen exist, and keys reach all', async () => {
  for (let i = 0; i < 10_000; i += 1) {
    const sensor_id = `probe_${String(i).padStart(5, '0')}`;
    const reading = { ...KITCHEN, sensor_id, value: i, location: `Hall ${i % 10}` };
    server.publish(reading, { push: false });
  }
  const page = await open();
  await until(() => page.locator('article').count(), (n) => n > 10 && n < 80);
  await page.locator('article[tabindex="0"]').focus();
  await page.keyboard.press('End');
  await until(() => page.evaluate(() => document.activeElement?.dataset.sensor),
    (id) => id === 'probe_09999');
  assert.ok(await page.locator('article').count() < 80);
  assert.deepEqual(page.faults, []);
});

test('every module is named in the page, so that none waits for another to be read', async () => {
  const page = await open();
  await role(page, 'empty').waitFor();
  const [named, loaded] = await page.evaluate(() => [
    [...document.querySelectorAll('link[rel="modulepreload"], script[src]')]
      .map((element) => element.href || element.src),
    performance.getEntriesByType('resource').map((entry) => entry.name)
      .filter((name) => name.endsWith('.js')),
  ]);
  assert.deepEqual(new Set(loaded), new Set(named));
  assert.equal(loaded.length, named.length);
});

test('after a reset only what the server still knows is shown', async () => {
  fill();
  fill({ ...KITCHEN, sensor_id: 'cellar', location: 'Cellar' });
  const page = await open();
  await cardOf(page, 'kitchen', 'temperature').waitFor();
  await until(text(role(page, 'connection')), (said) => said === 'Live');
  server.publish({ ...KITCHEN, value: 99 });
  const value = text(role(cardOf(page, 'kitchen', 'temperature'), 'value'));
  await until(value, (said) => said === '99.0');
  // Redis came back as it was before all that.
  server.series.clear();
  fill();
  server.send('reset', {});
  await cardOf(page, 'cellar', 'temperature').waitFor({ state: 'detached' });
  await until(value, (said) => said === '24.5');
  // The past of a sensor that is gone may have been asked for before that was known.
  const others = page.faults.filter((fault) => !fault.includes('404'));
  assert.deepEqual(others, []);
});

test('Enter right behind the last letter opens what was typed', async () => {
  fill();
  fill({ ...KITCHEN, sensor_id: 'cellar', location: 'Below' });
  const page = await open();
  await until(() => page.locator('article').count(), (n) => n === 2);
  // Within one frame, as a fast hand or a pasted line does it.
  await page.locator('#search').evaluate((input) => {
    input.focus();
    input.value = 'kitchen';
    input.dispatchEvent(new Event('input', { bubbles: true }));
    input.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
  });
  await until(text(page.locator('h1 .id')), (said) => said === 'kitchen');
  await page.evaluate(() => new Promise((done) => {
    requestAnimationFrame(() => requestAnimationFrame(done));
  }));
  assert.equal(await page.locator('h1 .id').textContent(), 'kitchen');
  assert.deepEqual(page.faults, []);
});

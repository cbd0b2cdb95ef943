/** What the page says of its connection, and how it comes by one: banners, sign-in, prefixes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cardOf, role, text, until } from './page.mjs';
import { open, page, serve, server, setStage } from './stage.mjs';

setStage();

const KITCHEN = { sensor_id: 'kitchen', sensor_type: 'temperature', unit: '°C', location: null };
const connection = (wanted) =>
  until(text(role(page, 'connection')), (said) => said === wanted, { ms: 10_000 });

test('a lost connection is said with the time of the last event, and comes back', async () => {
  server.publish({ ...KITCHEN, value: 21 });
  await open();
  await connection('Live');
  server.publish({ ...KITCHEN, value: 22 });
  const card = cardOf(page, 'kitchen', 'temperature');
  await until(text(role(card, 'value')), (said) => said === '22');
  const { port } = server;
  await server.stop();
  await connection('Not connected');
  const banner = role(page, 'banner');
  await until(text(banner), (said) =>
    /Last event \d\d:\d\d:\d\d, .*(Trying again in \d+|Trying now)/.test(said));
  assert.equal(await card.getAttribute('data-status'), 'unknown');
  server.publish({ ...KITCHEN, value: 23 }, { push: false });
  server.wishes = [];
  await server.start(port);
  await page.getByRole('button', { name: 'Try now' }).click({ timeout: 500 }).catch(() => null);
  await connection('Live');
  await until(text(role(card, 'value')), (said) => said === '23');
  // Live first, then what the past has: in this order nothing can fall between them.
  assert.deepEqual(server.wishes.slice(0, 2), [
    { event: 'subscribe', sensors: ['*'], batch: true, stats: true }, { event: 'GET api/sensors' },
  ]);
  assert.equal(await banner.isVisible(), false);
  assert.equal(await card.getAttribute('data-status'), 'online');
});

test('of a data set that was replaced while the page was away nothing is left', async () => {
  for (let i = 9; i >= 0; i -= 1) {
    const timestamp = new Date(Date.now() - i * 1000).toISOString();
    server.publish({ ...KITCHEN, value: 20 + i, timestamp }, { push: false });
  }
  await open({ path: '#sensor=kitchen&type=temperature&range=1h' });
  await until(text(role(page, 'range-readings')), (said) => said === '10');
  await connection('Live');
  const { port } = server;
  await server.stop();
  server.replace('two');
  server.publish({ ...KITCHEN, value: 3 }, { push: false });
  // What is on show must not wait for the answer that replaces it.
  let answer;
  server.beforeHistory = () => new Promise((done) => (answer = done));
  await server.start(port);
  await connection('Live');
  await until(text(role(page, 'range-readings')), (said) => said !== '10', { ms: 1000 });
  await until(() => Boolean(answer), (asked) => asked);
  server.beforeHistory = async () => {};
  answer();
  await until(text(role(page, 'range-readings')), (said) => said === '1');
  await until(text(role(page, 'range-max')), (said) => said === '3.0' || said === '3');
});

test('a server that owes an answer for five seconds is called stale', async () => {
  server.publish({ ...KITCHEN, value: 21 });
  await open();
  await connection('Live');
  server.answers = false;
  await connection('Stale');
  assert.match(await role(page, 'banner').textContent(), /Nothing has arrived for \d/);
  server.answers = true;
  server.publish({ ...KITCHEN, value: 22 });
  await connection('Live');
  assert.deepEqual(page.faults, []);
});

/** For eight seconds the page said “Connecting” over cards that looked live. */
test('a connection that is replaced is called lost until the new one speaks', async () => {
  server.publish({ ...KITCHEN, value: 21 });
  await open();
  await connection('Live');
  Object.assign(server, { answers: false, admits: false });
  await connection('Stale');
  const said = [];
  await until(async () => {
    said.push(await text(role(page, 'connection'))());
    return said.at(-1);
  }, (word) => word === 'Not connected', { ms: 25_000 });
  const banner = role(page, 'banner');
  assert.match(await banner.textContent(), /Not connected.*Last event \d\d:\d\d:\d\d.*Trying now/);
  assert.deepEqual([...new Set(said)], ['Stale', 'Not connected']);
  assert.equal(await cardOf(page, 'kitchen', 'temperature').getAttribute('data-status'), 'unknown');
});

/** With Redis stopped when the page was just opened, it said “Live” for half a minute. */
test('a server that hears nothing is called stale, and since when stays', async () => {
  server.publish({ ...KITCHEN, value: 21 });
  await open();
  await connection('Live');
  server.publish({ ...KITCHEN, value: 22 });
  server.deafSince = Date.now();
  await connection('Stale');
  const since = async () => /since (\S+)\./.exec(await role(page, 'banner').textContent())[1];
  const first = await since();
  // What the server says of its own changes nothing, nor does a new connection.
  server.send('sensor_status', { ...KITCHEN, status: 'late', last_reading: null });
  for (const client of server.clients) client.terminate();
  await connection('Not connected');
  await connection('Stale');
  assert.equal(await since(), first);
  server.deafSince = 0;
  await connection('Live');
  assert.equal(await role(page, 'banner').isVisible(), false);
});

test('a quiet house is not called stale', async () => {
  server.publish({ ...KITCHEN, value: 21 });
  await open();
  await connection('Live');
  server.publish({ ...KITCHEN, value: 22 });
  await page.waitForTimeout(8000);
  assert.equal(await role(page, 'connection').textContent(), 'Live');
  // Everything is pushed: nothing is asked but whether the server is there.
  const { length } = server.wishes;
  await until(() => server.wishes.slice(length), (wishes) => wishes.length > 0);
  assert.deepEqual(server.wishes.slice(length), [{ event: 'unsubscribe', sensors: [] }]);
  assert.equal(await role(page, 'banner').isVisible(), false);
  assert.deepEqual(page.faults, []);
});

test('without a session the page leads to the sign-in, and a wrong token is said so', async () => {
  await serve({ token: 'right' });
  server.publish({ ...KITCHEN, value: 21 });
  await open();
  await page.waitForURL(/\/signin$/);
  assert.equal(await page.locator('#error').isVisible(), false);
  await page.fill('#token', 'wrong');
  await page.press('#token', 'Enter');
  await page.locator('#error').waitFor();
  await page.fill('#token', 'right');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await cardOf(page, 'kitchen', 'temperature').waitFor();
  const others = page.faults.filter((fault) => !fault.includes('401'));
  assert.deepEqual(others, []);
});

test('a session that has ended leads to the sign-in', async () => {
  await open();
  await connection('Live');
  server.token = 'new';
  for (const client of server.clients) client.terminate();
  await page.waitForURL(/\/signin$/);
});

test('under a prefix everything is found', async () => {
  await serve({ prefix: '/water/gauge/' });
  server.publish({ ...KITCHEN, value: 21 });
  await open();
  await connection('Live');
  await cardOf(page, 'kitchen', 'temperature').click();
  await until(text(role(page, 'range-readings')), (said) => said === '1');
  assert.deepEqual(page.faults, []);
});

test('the switch changes the colours and is remembered', async () => {
  await open();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(await ground(), 'rgb(244, 246, 246)');
  await page.getByRole('button', { name: 'Use dark colours' }).click();
  await until(ground, (colour) => colour === 'rgb(10, 15, 18)');
  await page.reload();
  assert.equal(await ground(), 'rgb(10, 15, 18)');
  assert.deepEqual(page.faults, []);
});

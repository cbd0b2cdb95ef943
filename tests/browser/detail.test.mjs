/** The view of one sensor: its history and its live continuation, without a seam. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cardOf, role, text, until } from './page.mjs';
import { open, openLive, page, server, setStage } from './stage.mjs';

setStage();

const FLOW = { sensor_id: 'flow', sensor_type: 'speed', unit: 'm/s', location: 'Weir' };
const readings = () => until(text(role(page, 'range-readings')), (said) => said !== '');
/** One reading a minute, the last one a minute ago. */
const fill = (minutes) => {
  for (let i = minutes; i > 0; i -= 1) {
    const timestamp = new Date(Date.now() - i * 60_000).toISOString();
    server.publish({ ...FLOW, value: i % 7, timestamp, metadata: { i } }, { push: false });
  }
};
const openDetail = (path = '#sensor=flow&type=speed&range=1h') => openLive({ path });
/** How many pixels of the chart have the colour of its line. */
const painted = () => page.evaluate(() => {
  const canvas = document.querySelector('.plot canvas');
  if (!canvas) return 0;
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] === 0x1c && data[i + 1] === 0x5f && data[i + 2] === 0xaf) n += 1;
  }
  return n;
});

test('a card opens its chart, and Back leads to the cards again', async () => {
  fill(30);
  await open();
  await cardOf(page, 'flow', 'speed').click();
  await until(text(role(page, 'range-readings')), (said) => said === '30');
  await until(painted, (n) => n > 200);
  assert.equal(await role(page, 'range-min').textContent(), '0');
  assert.equal(await role(page, 'range-max').textContent(), '6');
  assert.match(await role(page, 'metadata').textContent(), /"i": 1/);
  await page.goBack();
  await cardOf(page, 'flow', 'speed').waitFor();
  assert.deepEqual(page.faults, []);
});

test('the chart goes on live', async () => {
  fill(30);
  await openDetail();
  await until(text(role(page, 'range-readings')), (said) => said === '30');
  server.publish({ ...FLOW, value: 12 });
  await until(text(role(page, 'range-now')), (said) => said === '12');
  await until(text(role(page, 'range-readings')), (said) => said === '31');
  assert.equal(await role(page, 'range-max').textContent(), '12');
  assert.deepEqual(page.faults, []);
});

test('what comes while history is on its way is shown once, whichever of both has it', async () => {
  fill(30);
  let release;
  const asked = new Promise((done) => {
    server.beforeHistory = () => new Promise((go) => {
      release = go;
      done();
    });
  });
  await openDetail();
  await asked;
  // The answer was made before this one, so only the socket brings it.
  server.publish({ ...FLOW, value: 50 });
  // This one is pushed again although the history has it.
  const { position, ...known } = [...server.series.values()][0][29];
  server.send('sensor_update', { ...known, position });
  await until(text(role(page, 'range-now')), (said) => said === '50');
  release();
  await until(text(role(page, 'range-readings')), (said) => said === '31');
  assert.equal(await role(page, 'range-max').textContent(), '50');
  await page.waitForTimeout(1200);
  assert.equal(await readings(), '31');
  assert.deepEqual(page.faults, []);
});

test('each range shows what it reaches', async () => {
  fill(26 * 60);
  await openDetail();
  await until(text(role(page, 'range-readings')), (said) => /^(59|60)$/.test(said));
  for (const [range, least, most] of [['6h', 359, 360], ['24h', 1439, 1440], ['7d', 1560, 1560]]) {
    await page.locator(`[data-range="${range}"]`).click();
    const count = (said) => Number(said.replace(/\D/g, ''));
    await until(text(role(page, 'range-readings')),
      (said) => count(said) >= least && count(said) <= most);
    assert.match(page.url(), new RegExp(`range=${range}`));
  }
  assert.deepEqual(page.faults, []);
});

test('a series younger than the range is shown since its first reading', async () => {
  fill(3);
  await openDetail('#sensor=flow&type=speed&range=24h');
  const caption = page.locator('.caption');
  await until(text(caption), (said) => /First reading: \d\d:\d\d:\d\d/.test(said));
  const title = await page.locator('.detail h2').first().textContent();
  const [, hour, minute] = /(\d\d):(\d\d) to now/.exec(title);
  const shown = await page.evaluate(() => [new Date().getHours(), new Date().getMinutes()]);
  const minutes = (shown[0] - hour) * 60 + shown[1] - minute;
  assert.ok((minutes + 1440) % 1440 <= 6, title);
  assert.deepEqual(page.faults, []);
});

test('dragging zooms, a double click shows the whole range again', async () => {
  fill(60);
  await openDetail();
  await until(text(role(page, 'range-readings')), (said) => /^(59|60)$/.test(said));
  const box = await page.locator('.u-over').boundingBox();
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * 0.4, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, y, { steps: 4 });
  await page.mouse.move(box.x + box.width * 0.6, y, { steps: 4 });
  await page.mouse.up();
  await until(text(role(page, 'range-readings')), (said) => Number(said) > 8 && Number(said) < 16);
  await page.mouse.dblclick(box.x + box.width * 0.5, y);
  await until(text(role(page, 'range-readings')), (said) => /^(59|60)$/.test(said));
  assert.deepEqual(page.faults, []);
});

test('a range without readings says when the last one was', async () => {
  const timestamp = new Date(Date.now() - 3 * 3_600_000).toISOString();
  server.publish({ ...FLOW, value: 1, timestamp }, { push: false });
  await openDetail();
  await until(text(role(page, 'over')), (said) => said.includes('Nothing was measured'));
  await page.getByRole('button', { name: /Show 6/ }).click();
  await until(text(role(page, 'range-readings')), (said) => said === '1');
  assert.equal(await role(page, 'over').isVisible(), false);
  assert.deepEqual(page.faults, []);
});

test('a sensor that nobody knows yet is waited for', async () => {
  await openDetail('#sensor=flow');
  await until(text(role(page, 'over')), (said) => said.includes('No reading of this sensor'));
  server.publish({ ...FLOW, value: 3 });
  await until(text(role(page, 'range-readings')), (said) => said === '1');
  assert.equal(await role(page, 'over').isVisible(), false);
  assert.deepEqual(page.faults, []);
});

/** It offered to remove what is not there, and to try again what cannot be had. */
test('a sensor of the address that nobody knows is said not to be known', async () => {
  fill(3);
  await openDetail('#sensor=nosuch&type=speed');
  const over = role(page, 'over');
  await until(text(over), (said) => said.includes('This sensor is not known'));
  const why = over.getByRole('link', { name: 'Why is my sensor missing?' });
  assert.equal(await why.getAttribute('href'), 'api/topics?q=nosuch');
  for (const name of ['Try again', 'Remove sensor…']) {
    assert.equal(await page.getByRole('button', { name }).isVisible(), false, name);
  }
  server.publish({ ...FLOW, sensor_id: 'nosuch', value: 3 });
  await until(text(role(page, 'range-readings')), (said) => said === '1');
  assert.equal(await over.isVisible(), false);
  await page.evaluate(() => { location.hash = '#sensor=flow&type=weight'; });
  await until(text(over), (said) => said.includes('This sensor has no weight'));
  await over.getByRole('button', { name: 'Show all sensors' }).click();
  await cardOf(page, 'flow', 'speed').waitFor();
});

/** While live they were one or two apart. */
test('the range that has all readings and all time count the same', async () => {
  fill(30);
  await openDetail('#sensor=flow&type=speed&range=24h');
  const both = () => page.evaluate(() => [
    document.querySelector('[data-role="range-readings"]').textContent,
    document.querySelector('.facts dt + dd') && [...document.querySelectorAll('.facts dt')]
      .find((name) => name.textContent === 'Readings').nextElementSibling.textContent,
  ]);
  await until(both, ([range, all]) => range === '30' && all === '30');
  const ahead = new Date(Date.now() + 900).toISOString();
  for (let i = 1; i <= 8; i += 1) {
    server.publish({ ...FLOW, value: i, timestamp: ahead });
    const [range, all] = await until(both, ([said]) => said === String(30 + i));
    assert.equal(range, all);
  }
  assert.deepEqual(page.faults, []);
});

/** Behind another sensor, one that had been removed showed the numbers of that one as its own. */
test('a sensor that nobody knows does not show the numbers of the one before', async () => {
  fill(30);
  await openDetail();
  await until(text(role(page, 'range-readings')), (said) => said === '30');
  await page.evaluate(() => { location.hash = '#sensor=stranger'; });
  await until(text(role(page, 'over')), (said) => said.includes('No reading of this sensor'));
  for (const part of ['range-readings', 'metadata']) {
    assert.equal(await role(page, part).isVisible(), false, part);
  }
});

test('history that fails is said in a sentence, live goes on, and trying again helps', async () => {
  fill(30);
  server.historyStatus = 503;
  await openDetail();
  await until(text(role(page, 'over')), (said) => said.includes('the history is being repaired'));
  server.publish({ ...FLOW, value: 12 });
  await until(text(role(page, 'range-now')), (said) => said === '12');
  server.historyStatus = 200;
  // Unless the page itself has tried again by now.
  await page.getByRole('button', { name: 'Try again' }).click({ timeout: 500 }).catch(() => null);
  await until(text(role(page, 'range-readings')), (said) => said === '31');
  const others = page.faults.filter((fault) => !fault.includes('503'));
  assert.deepEqual(others, []);
});

test('after a loss of the connection the chart has what was missed', async () => {
  fill(30);
  await openDetail();
  await until(text(role(page, 'range-readings')), (said) => said === '30');
  for (const client of server.clients) client.terminate();
  server.publish({ ...FLOW, value: 40 });
  await until(text(role(page, 'range-readings')), (said) => said === '31');
  assert.equal(await role(page, 'range-max').textContent(), '40');
});

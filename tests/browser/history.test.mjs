/** The chart asks for what it can show: points, windows, a zoom, percentiles, the same as CSV. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { role, text, until } from './page.mjs';
import { openLive, page, server, setStage } from './stage.mjs';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const FLOW = { sensor_id: 'flow', sensor_type: 'speed', unit: 'm/s', location: 'Weir' };

setStage();

/** Readings of the last `ms`, one every `step`. */
const fill = (ms, step, valueAt = (i) => i % 7) => {
  const now = Date.now();
  for (let i = Math.floor(ms / step); i > 0; i -= 1) {
    const timestamp = new Date(now - i * step).toISOString();
    server.publish({ ...FLOW, value: valueAt(i), timestamp }, { push: false });
  }
};
/** Readings reach back so far, and windows further. */
const keep = (raw, minutes) => (server.kept = new Map([['raw', raw], ['1m', minutes]]));
const openDetail = (range, how = {}) =>
  openLive({ path: `#sensor=flow&type=speed&range=${range}`, ...how });
const said = (name, wanted) => until(text(role(page, name)), (it) =>
  (wanted instanceof RegExp ? wanted.test(it) : it === wanted));
/** The questions for the chart itself. */
const charts = () => server.questions.filter((one) =>
  !one.percentiles && !one.format && !one.resolution);
const sizeOf = async () => page.locator('.u-over').boundingBox();
const drag = async (fromShare, toShare) => {
  const { x, y, width, height } = await sizeOf();
  const [from, to, level] = [x + width * fromShare, x + width * toShare, y + height / 2];
  await page.mouse.move(from, level);
  await page.mouse.down();
  await page.mouse.move((from + to) / 2, level, { steps: 3 });
  await page.mouse.move(to, level, { steps: 3 });
  await page.mouse.up();
};
/** How many pixels of the chart have the colour of its band: the line's, a fifth as strong. */
const banded = () => page.evaluate(() => {
  const canvas = document.querySelector('.plot canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 2] > 2 * data[i] && data[i + 3] > 45 && data[i + 3] < 57) n += 1;
  }
  return n;
});

test('a chart asks for two rows per pixel, and again when it is another width', async () => {
  fill(HOUR, 10 * SECOND);
  await openDetail('1h');
  await said('range-readings', /^3[56]\d$/);
  const { width } = await sizeOf();
  await until(() => charts().at(-1), ({ points }) => Math.abs(points - 2 * width) < width * 0.45);
  const asked = charts().length;
  await page.setViewportSize({ width: 700, height: 800 });
  await until(charts, (all) => all.length > asked);
  const narrow = await sizeOf();
  assert.ok(Math.abs(charts().at(-1).points - 2 * narrow.width) < 4, JSON.stringify(charts()));
  assert.deepEqual(page.faults, []);
});

test('of more readings than can be shown the peaks are, and all are counted', async () => {
  fill(HOUR, SECOND / 2, (i) => (i === 4321 ? 99 : 1));
  await openDetail('1h');
  await said('range-max', '99');
  await said('caption-line', 'Line: lowest and highest readings');
  await said('range-readings', /^7,[01]\d\d$/);
  await said('range-p50', '1.0');
  assert.equal(server.questions.filter((one) => one.resolution === '1m').length, 1);
  assert.deepEqual(page.faults, []);
});

test('windows are a mean with a band, said in words, and told by the crosshair', async () => {
  fill(26 * HOUR, 20 * SECOND, (i) => [1, 2, 6][i % 3]);
  keep(HOUR, 48 * HOUR);
  await openDetail('24h');
  await said('caption-line', 'Line: average of 1-minute windows');
  await said('caption-band', 'Band: lowest to highest in the window');
  await until(banded, (n) => n > 50_000);
  const { x, y, width, height } = await sizeOf();
  await page.mouse.move(x + width / 2, y + height / 2);
  await said('cross-value', '3.0');
  await said('cross-span', 'mean · 1 to 6 · 3 readings');
  await said('range-readings', /^4,3\d\d$/);
  assert.deepEqual(page.faults, []);
});

test('a peak of one reading in seven days is seen', async () => {
  fill(7 * 24 * HOUR, 5 * MINUTE, (i) => (i === 1000 ? 500 : 1));
  keep(HOUR, 8 * 24 * HOUR);
  await openDetail('7d', { width: 1000 });
  await said('range-max', '500');
  await said('caption-line', 'Line: average of 1-minute windows');
  assert.deepEqual(page.faults, []);
});

/** Its last column stood over the edge of the panel: a day and a time were one line. */
test('the table of a week fits a phone', async () => {
  fill(7 * 24 * HOUR, 5 * MINUTE, (i) => (i === 1000 ? 95.5 : i === 1500 ? 10.5 : 20));
  keep(HOUR, 8 * 24 * HOUR);
  await openDetail('7d', { width: 360 });
  await said('range-max', '95.5');
  const over = await page.evaluate(() => {
    const table = document.querySelector('.range-table');
    return table.offsetWidth - table.parentElement.clientWidth;
  });
  assert.equal(over, 0);
  assert.deepEqual(page.faults, []);
});

test('live readings go on in the newest window', async () => {
  fill(3 * HOUR, 20 * SECOND, () => 1);
  keep(HOUR, 24 * HOUR);
  await openDetail('6h');
  await said('caption-line', /windows/);
  const before = await said('range-readings', /^5\d\d$/);
  const asked = charts().length;
  for (const value of [8, 4]) server.publish({ ...FLOW, value });
  await said('range-readings', String(Number(before) + 2));
  await said('range-max', '8');
  assert.equal(charts().length, asked);
  assert.deepEqual(page.faults, []);
});

test('a zoom asks for its own stretch, finer, and a double click leaves it', async () => {
  fill(26 * HOUR, 30 * SECOND);
  keep(12 * HOUR, 48 * HOUR);
  await openDetail('24h');
  await said('caption-line', /1-minute windows/);
  await drag(0.8, 0.85);
  await said('caption-line', 'Line: every reading');
  const { from, to } = charts().at(-1);
  const minutes = (Date.parse(to) - Date.parse(from)) / MINUTE;
  assert.ok(minutes > 65 && minutes < 80, `${from} to ${to}`);
  await said('range-readings', /^1[345]\d$/);
  assert.match(page.url(), /from=\d+&to=\d+/);
  const { x, y, width, height } = await sizeOf();
  await page.mouse.dblclick(x + width / 2, y + height / 2);
  await said('caption-line', /1-minute windows/);
  await said('range-readings', /^2,8\d\d$/);
  assert.doesNotMatch(page.url(), /from=/);
  assert.deepEqual(page.faults, []);
});

test('a zoom is in the URL, and Escape leaves it before it leaves the sensor', async () => {
  fill(HOUR, MINUTE);
  await openDetail(`1h&from=${Date.now() - 30 * MINUTE}&to=${Date.now() - 20 * MINUTE}`);
  await said('range-readings', /^(9|10|11)$/);
  await page.keyboard.press('Escape');
  await said('range-readings', /^(59|60)$/);
  await page.keyboard.press('Escape');
  await page.locator('article').waitFor();
  assert.deepEqual(page.faults, []);
});

test('yesterday, a month and a year are in reach', async () => {
  fill(60 * 24 * HOUR, HOUR);
  keep(2 * HOUR, 24 * HOUR);
  await openDetail('30d');
  await said('caption-line', 'Line: average of 1-hour windows');
  await said('range-readings', /^7[12]\d$/);
  await page.locator('[data-range="1y"]').click();
  await said('range-readings', '1,440');
  await page.locator('[data-range="yesterday"]').click();
  await said('range-readings', /^2[345]$/);
  assert.match(await page.locator('.detail h2').first().textContent(), /00:00 to .* 00:00$/);
  assert.deepEqual(page.faults, []);
});

test('percentiles are the server’s, and beyond the readings kept it says so quietly', async () => {
  fill(26 * HOUR, MINUTE, (i) => (i <= 55 ? i : 1000));
  keep(2 * HOUR, 48 * HOUR);
  await openDetail('1h');
  await said('range-p95', '1,000');
  await page.locator('[data-range="24h"]').click();
  await said('caption-line', /windows/);
  await until(() => role(page, 'range-beyond').isVisible(), (visible) => visible);
  assert.equal(await role(page, 'range-beyond').textContent(), 'not kept that long');
  assert.equal(await role(page, 'range-p95').isVisible(), false);
  await page.locator('[data-range="1h"]').click();
  await said('range-p95', '1,000');
  assert.equal(await role(page, 'range-beyond').isVisible(), false);
  assert.deepEqual(page.faults, []);
});

/** The rows that the chart was last given, as the wire had them. */
const watchRows = () => {
  const seen = { rows: [] };
  page.on('response', async (response) => {
    const asked = new URL(response.url()).searchParams;
    const chart = asked.has('points') && !asked.has('format') && !asked.has('resolution');
    if (chart) seen.rows = (await response.json()).readings;
  });
  return seen;
};
const download = async () => {
  const [file] = await Promise.all([page.waitForEvent('download'), role(page, 'csv').click()]);
  const lines = (await readFile(await file.path(), 'utf8')).trimEnd().split('\r\n');
  const [head, ...rows] = lines.map((line) => line.split(','));
  const column = (name) => rows.map((row) => row[head.indexOf(name)]);
  return { name: file.suggestedFilename(), column };
};

test('the CSV has exactly the rows on the screen, also of a chart that goes on live', async () => {
  fill(HOUR, SECOND, (i) => (i * 7919) % 1000);
  await openDetail('1h');
  await said('caption-line', 'Line: lowest and highest readings');
  const seen = watchRows();
  server.publish({ ...FLOW, value: 5555 });
  await said('range-max', '5,555');
  const { name, column } = await download();
  assert.equal(name, 'flow.csv');
  assert.ok(column('value').includes('5555'));
  const times = JSON.stringify(column('timestamp'));
  await until(() => JSON.stringify(seen.rows.map((row) => row.timestamp)), (it) => it === times);
  assert.deepEqual(column('value'), seen.rows.map((row) => String(row.value)));
  const { points, resolution } = server.questions.find((one) => one.format === 'csv');
  assert.deepEqual([points, resolution], [charts().at(-1).points, 'raw']);
  // The chart goes on after that.
  server.publish({ ...FLOW, value: 7777 });
  await said('range-max', '7,777');
  assert.deepEqual(page.faults, []);
});

test('the CSV of windows has their bands', async () => {
  fill(50 * HOUR, 30 * SECOND);
  keep(HOUR, 72 * HOUR);
  await openDetail('yesterday');
  await said('caption-line', /1-minute windows/);
  const address = await role(page, 'csv').getAttribute('href');
  assert.match(address, /^api\/sensors\/flow\/readings\?.*resolution=1m&format=csv$/);
  const { column } = await download();
  assert.ok(column('count').length > 1000 && column('count').every((count) => Number(count) > 0));
  assert.ok(column('min').every((min, i) => Number(min) <= Number(column('max')[i])));
  assert.deepEqual(page.faults, []);
});

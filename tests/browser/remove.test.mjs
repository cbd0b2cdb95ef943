/** Removing a sensor: the question, the answer, and what every page shows then. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cardOf, role, text, until } from './page.mjs';
import { openLive, page, server, setStage } from './stage.mjs';

setStage();

const shown = (locator) => () => locator.isVisible();
const yes = (it) => it === true;
const KITCHEN = {
  sensor_id: 'kitchen', sensor_type: 'temperature', unit: '°C', location: 'Kitchen',
};
const HUMIDITY = { ...KITCHEN, sensor_type: 'humidity', unit: '%' };
const CELLAR = { ...KITCHEN, sensor_id: 'cellar', location: 'Cellar' };
const dialog = () => page.getByRole('dialog');
const ask = () => page.getByRole('button', { name: 'Remove sensor…' });
const confirm = () => role(page, 'confirm-remove');

/** The page with three series, live, at this path. */
async function open(path = '') {
  for (const series of [KITCHEN, HUMIDITY, CELLAR]) {
    for (let i = 0; i < 5; i += 1) {
      const timestamp = new Date(Date.now() - (10 - i) * 1000).toISOString();
      server.publish({ ...series, value: 20 + i, timestamp }, { push: false });
    }
  }
  await openLive({ path });
}

const DETAIL = '#sensor=kitchen&type=temperature&range=1h';

test('a sensor is removed after a question that says what goes', async () => {
  await open();
  await cardOf(page, 'kitchen', 'temperature').click();
  await ask().click();
  const said = await dialog().textContent();
  assert.match(said, /^Remove kitchen\?/);
  assert.match(said, /all 2 series \(humidity, temperature\).*statistics, readings and windows/);
  assert.match(said, /still sends comes back/);
  await confirm().click();
  await cardOf(page, 'cellar', 'temperature').waitFor();
  assert.equal(await page.locator('article').count(), 1);
  assert.equal(await dialog().count(), 0);
  assert.equal(new URL(page.url()).hash, '');
  await until(text(page.locator('#says')), (words) => words === 'kitchen was removed');
  assert.deepEqual(page.faults, []);
});

test('of a sensor that was removed while the page was away nothing is left on return', async () => {
  await open(DETAIL);
  await until(text(role(page, 'range-readings')), (said) => said === '5');
  const { port } = server;
  await server.stop();
  await until(text(role(page, 'connection')), (said) => said === 'Not connected');
  server.forget('kitchen');
  await server.start(port);
  await until(shown(role(page, 'gone')), yes, { ms: 10_000 });
  assert.equal(await role(page, 'chart').isVisible(), false);
  // It sends again.
  server.publish({ ...KITCHEN, value: 3 });
  await until(text(role(page, 'range-readings')), (said) => said === '1');
  assert.equal(await role(page, 'gone').isVisible(), false);
});

test('the question is answered by keys, and no is the first answer', async () => {
  await open(DETAIL);
  await ask().focus();
  await page.keyboard.press('Enter');
  await until(shown(dialog()), yes);
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  assert.equal(await focused(), 'Cancel');
  await page.keyboard.press('Escape');
  await until(() => dialog().count(), (n) => n === 0);
  // Escape closed the question and not the view behind it.
  assert.match(page.url(), /sensor=kitchen/);
  assert.equal(await focused(), 'Remove sensor…');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Remove sensor');
  await page.keyboard.press('Enter');
  await cardOf(page, 'cellar', 'temperature').waitFor();
  assert.equal(await cardOf(page, 'kitchen', 'temperature').count(), 0);
  assert.deepEqual(page.faults, []);
});

test('what the server refuses is said, and asked again it goes', async () => {
  await open(DETAIL);
  server.deletionStatus = 503;
  await ask().click();
  await confirm().click();
  const said = dialog().getByRole('alert');
  await until(text(said), (words) => words === 'It was not removed: the shards are asleep');
  server.deletionStatus = 202;
  await confirm().click();
  await cardOf(page, 'cellar', 'temperature').waitFor();
  assert.equal(await cardOf(page, 'kitchen', 'temperature').count(), 0);
  const others = page.faults.filter((fault) => !fault.includes('503'));
  assert.deepEqual(others, []);
});

test('it goes though the socket does not tell of it', async () => {
  await open(DETAIL);
  server.tellsOfDeletion = false;
  await ask().click();
  await confirm().click();
  await cardOf(page, 'cellar', 'temperature').waitFor();
  assert.equal(await cardOf(page, 'kitchen', 'temperature').count(), 0);
  assert.deepEqual(page.faults, []);
});

test('a card that somebody else removed goes, and comes back when it sends', async () => {
  await open();
  await cardOf(page, 'kitchen', 'temperature').waitFor();
  // The cards ask for their past; of a sensor that is gone that would be a fault.
  const cards = await page.locator('article').count();
  await until(() => server.questions.length, (asked) => asked >= cards);
  server.forget('kitchen');
  server.send('sensor_removed', { sensor_id: 'kitchen' });
  await until(() => page.locator('article').count(), (n) => n === 1);
  server.publish({ ...KITCHEN, value: 31 });
  const card = cardOf(page, 'kitchen', 'temperature');
  await until(text(role(card, 'value')), (said) => said === '31');
  await until(text(role(card, 'count')), (said) => said === '1 reading', { ms: 10_000 });
  assert.equal(await cardOf(page, 'kitchen', 'humidity').count(), 0);
  assert.deepEqual(page.faults, []);
});

test('an open detail says that the sensor was removed, until it sends again', async () => {
  await open(DETAIL);
  await until(text(role(page, 'range-readings')), (said) => said === '5');
  await ask().click();
  server.forget('kitchen');
  server.send('sensor_removed', { sensor_id: 'kitchen' });
  const gone = role(page, 'gone');
  await until(shown(gone), yes);
  assert.match(await gone.textContent(), /^kitchen was removed/);
  assert.equal(await page.locator('.detail').isVisible(), false);
  server.publish({ ...KITCHEN, value: 31 });
  await until(text(role(page, 'range-readings')), (said) => said === '1');
  assert.equal(await gone.isVisible(), false);
  server.forget('kitchen');
  server.send('sensor_removed', { sensor_id: 'kitchen' });
  await until(shown(gone), yes);
  await gone.getByRole('button', { name: 'Show all sensors' }).click();
  await cardOf(page, 'cellar', 'temperature').waitFor();
  assert.equal(await page.locator('article').count(), 1);
  assert.deepEqual(page.faults, []);
});

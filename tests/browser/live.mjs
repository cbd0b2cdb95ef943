/**
 * The page before a Streamgauge that runs: `node live.mjs <url> <MQTT port>`. Exits with 0 when what
 * `mosquitto_pub` sends is on the page within two seconds and the page had no fault. Tests of the
 * real program start it; it is no test file of its own, for it starts no server.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cardOf, launch, openPage, role, text, until } from './page.mjs';

/** What a new user is promised. */
const PROMISED_MS = 2000;
const [url, port] = process.argv.slice(2);

/** As the README says it. */
function publish(topic, message) {
  execFileSync('mosquitto_pub', ['-h', 'localhost', '-p', port, '-t', topic, '-m', message]);
  return Date.now();
}

const browser = await launch();
try {
  const page = await openPage(browser, url);
  await until(text(role(page, 'connection')), (said) => said === 'Live', { ms: 10_000 });
  await until(() => page.locator('article').count(), (cards) => cards >= 12, { ms: 10_000 });

  const sent = publish('sensors/kitchen/temperature', '{"value":21.5,"unit":"°C"}');
  const left = () => PROMISED_MS - (Date.now() - sent);
  const card = cardOf(page, 'kitchen', 'temperature');
  await card.waitFor({ timeout: left() });
  await until(text(role(card, 'value')), (said) => said === '21.5', { ms: left() });
  assert.equal(await role(card, 'unit').textContent(), '°C');

  // A second value moves the card, and its statistics follow.
  publish('sensors/kitchen/temperature', '{"value":23.5,"unit":"°C"}');
  await until(text(role(card, 'value')), (said) => said === '23.5', { ms: PROMISED_MS });
  await until(text(role(card, 'count')), (said) => said === '2 readings', { ms: 5000 });
  await until(text(role(card, 'avg')), (said) => said === '22.5', { ms: 5000 });

  // The simulated sensors go on by themselves.
  const others = page.locator('article:not([data-sensor="kitchen"]) [data-role="count"]');
  const before = (await others.allTextContents()).join();
  await until(async () => (await others.allTextContents()).join(), (now) => now !== before);
  assert.deepEqual(page.faults, []);
} finally {
  await browser.close();
}

/** The picture of the README: `SCREENSHOTS=1 npm run test:browser` takes it anew. */

import assert from 'node:assert/strict';
import { mkdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { furnish, inhabit } from './house.mjs';
import { MockServer } from './mock-server.mjs';
import { launch, openPage, role, until } from './page.mjs';

const PICTURE = fileURLToPath(new URL('../../docs/page-light.png', import.meta.url));
const BYTES_MOST = 300 * 1024;

test('nothing runs out at the side, however narrow the page and long the id', async () => {
  const server = await new MockServer().start();
  const browser = await launch();
  furnish(server);
  const id = 'north_wing_3rd_floor_corridor_ceiling_probe_0017';
  for (const width of [360, 820, 1440]) {
    for (const path of ['#group=type', `#sensor=${id}&type=temperature&range=1h`]) {
      const page = await openPage(browser, server.url, { width, path });
      await until(() => page.locator('article, .range-table td:nth-child(3) small:not(:empty)')
        .count(), (n) => n > 0);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.equal(over, 0, `${width} ${path}`);
      assert.deepEqual(page.faults, []);
      await page.context().close();
    }
  }
  await browser.close();
  await server.stop();
});

test('a furnished house fits its page', async () => {
  const server = await new MockServer().start();
  const browser = await launch();
  furnish(server);
  const page = await openPage(browser, server.url, { height: 860 });
  await until(() => page.locator('article').count(), (n) => n > 15);
  await until(() => role(page, 'connection').textContent(), (said) => said === 'Live');
  // Nothing is cut off at the side, and no card's text runs out of its card.
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(wide, false);
  const spilled = await page.evaluate(() => [...document.querySelectorAll('article')].filter(
    (card) => card.scrollWidth > card.clientWidth || card.scrollHeight > card.clientHeight,
  ).map((card) => card.dataset.sensor));
  assert.deepEqual(spilled, []);
  // Sparklines come for every card on the screen: each has a line, not only a dot.
  const paint = () => [...document.querySelectorAll('article canvas')].map((it) => {
    const { data } = it.getContext('2d').getImageData(0, 0, it.width, it.height);
    return data.filter((byte) => byte > 0).length;
  });
  await until(() => page.evaluate(paint),
    (painted) => painted.every((bytes) => bytes > 500), { ms: 20_000 });
  if (process.env.SCREENSHOTS) {
    const leave = inhabit(server);
    await page.waitForTimeout(40_000);
    leave();
    await mkdir(fileURLToPath(new URL('../../docs/', import.meta.url)), { recursive: true });
    await page.screenshot({ path: PICTURE });
    assert.ok((await stat(PICTURE)).size <= BYTES_MOST);
  }
  assert.deepEqual(page.faults, []);
  await browser.close();
  await server.stop();
});

/**
 * The network is pulled between a browser and a Streamgauge that runs, and what is on the page
 * afterwards is compared with a ledger of what was published:
 * `node pull.mjs <url> <MQTT port> <pid of Redis>`. Exits with 0 when there is no hole and no
 * double. Tests of the real program start it.
 *
 * Two sensors publish all the time, `fast` at 20 Hz (twice what the page is pushed, so most of its
 * live readings stand for another) and `slow` at 1 Hz. What must hold, at any time:
 *
 * - what the chart has was published, each time once, in order;
 *
 * and within seconds after a return:
 *
 * - each reading up to the return is there, also those that were conflated away before the loss;
 * - the line is open only where the sensor was silent. Until then it is open, too, where something
 *   may be missing: behind a `gap`, until history has answered.
 *
 * Minutes are made of seconds: sensors' clocks are behind, and while the network is away they catch
 * up, so that the readings missed span two minutes. `PULL_MS=120000` waits for them instead.
 */

import assert from 'node:assert/strict';
import { Device } from './device.mjs';
import { cardOf, launch, openPage, role, until } from './page.mjs';
import { chartOf, sparkOf, watchDrawing } from './shown.mjs';
import { Wire } from './wire.mjs';

const MINUTES_MS = 120_000;
const AWAY_MS = Number(process.env.PULL_MS ?? 12_000);
const FAST_MS = 50;
const SLOW_MS = 1000;
/** From the return of the network to a chart without a hole: the page waits up to 15 s to try. */
const RETURN_MS = 30_000;
const SILENCE_MS = 90_000;
/** Sensors that catch up leave no more out between two readings: below what the page calls a gap. */
const CATCH_UP_MS_MOST = 3000;
/** A chart is asked for with two readings a pixel: wide enough for those of five minutes. */
const CHART_WIDTH = 4800;

const [url, port, redis] = process.argv.slice(2);

/** The sensors' own clock: behind, until it catches up. */
const clock = {
  behind: MINUTES_MS + SILENCE_MS + 60_000,
  now: () => Math.floor(Date.now() - clock.behind),
};
/** Times of what each sensor published. @type {Record<string, number[]>} */
const ledger = { fast: [], slow: [] };
const silent = new Set();
const device = new Device(Number(port), 'pulled').start();

function publish(id) {
  const at = clock.now();
  if (silent.has(id) || at <= (ledger[id].at(-1) ?? 0)) return;
  ledger[id].push(at);
  const value = Math.round(200 + 50 * Math.sin(at / 7000)) / 10;
  const timestamp = new Date(at).toISOString();
  device.publish(`sensors/${id}/level`, { value, timestamp, unit: 'm' });
}
const timers = [
  setInterval(() => publish('fast'), FAST_MS),
  setInterval(() => {
    if (clock.now() - (ledger.slow.at(-1) ?? 0) >= SLOW_MS) publish('slow');
  }, FAST_MS / 2),
];

const wire = await new Wire(Number(new URL(url).port)).start();
const browser = await launch();
const pages = {};
const linkOf = (page) => role(page, 'connection').textContent();
const allLive = () => Promise.all(Object.values(pages).map((page) =>
  until(() => linkOf(page), (said) => said === 'Live', { ms: RETURN_MS })));

async function open(name, how) {
  pages[name] = await openPage(browser, wire.url, { ...how, watch: watchDrawing });
}

/** What holds at any time. @param {string} id @returns {Promise<number[]>} where it is open */
async function look(id) {
  const shown = await chartOf(pages[id]);
  const known = new Set(ledger[id]);
  assert.ok(known.size < shown.room, `${known.size} readings: the chart has room for ${shown.room}`);
  shown.t.forEach((at, i) => {
    assert.ok(known.has(at), `${id}: ${at} was never published`);
    assert.ok(i === 0 || shown.t[i - 1] < at, `${id}: ${at} twice, or out of order`);
  });
  return shown.holes;
}

/** What has been published by now. */
const published = () => ({ fast: [...ledger.fast], slow: [...ledger.slow] });

/**
 * Each reading published up to a moment is on the chart within seconds, and holes are where they
 * must be.
 */
async function whole(past, holes = { fast: 0, slow: 0 }) {
  for (const id of ['fast', 'slow']) {
    const upTo = past[id];
    const missing = async () => {
      const there = new Set((await chartOf(pages[id])).t);
      const absent = upTo.filter((at) => !there.has(at));
      return { id, of: upTo.length, missing: absent.length, from: absent[0], to: absent.at(-1) };
    };
    await until(missing, (found) => found.missing === 0, { ms: RETURN_MS });
    await until(() => look(id), (open) => open.length === holes[id], { ms: 10_000 });
    // No hole in the sparkline either: one line, whose readings stand near each other.
    const lines = () => sparkOf(cardOf(pages.cards, id, 'level'));
    const lengths = await until(lines, (all) => all.length === 1 + holes[id], { ms: 10_000 });
    for (const line of lengths) {
      line.forEach((x, i) => assert.ok(i === 0 || (x >= line[i - 1] && x < line[i - 1] + 8),
        `${id}: the sparkline jumps from ${line[i - 1]} to ${x}`));
    }
  }
}

/** The network comes back. */
async function mend(holes) {
  const past = published();
  wire.mend();
  await allLive();
  await whole(past, holes);
}

/**
 * While the network is away nothing comes, and readings of so long are published. On a busy machine
 * this process may not run for a while; the clock waits for the readings then, for a jump of it
 * would be a silence of the sensors.
 */
async function pass(ms, span = ms) {
  const [began, behind] = [Date.now(), clock.behind];
  const most = () => {
    const heard = Object.keys(ledger).filter((id) => !silent.has(id));
    const oldest = Math.min(...heard.map((id) => ledger[id].at(-1)));
    return Math.max(0, oldest + CATCH_UP_MS_MOST - clock.now());
  };
  await until(() => {
    const share = Math.min(1, (Date.now() - began) / ms);
    const wanted = behind - share * (span - ms);
    clock.behind = Math.max(wanted, clock.behind - most());
    return share === 1 && clock.behind === wanted;
  }, (passed) => passed, { ms: 2 * ms + 30_000 });
}

try {
  await until(() => ledger.fast.length - device.open.size, (n) => n > 40, { ms: 15_000 });
  const before = published();
  await open('cards', {});
  for (const id of ['fast', 'slow']) {
    await open(id, { path: `#sensor=${id}&type=level&range=1h`, width: CHART_WIDTH });
  }
  await allLive();
  await whole(before);

  const story = [];
  const tell = (what) => story.push(`${what} ${((Date.now() - started) / 1000).toFixed(1)} s`);
  const started = Date.now();

  wire.cut();
  await pass(5000);
  assert.deepEqual(await look('fast'), []);
  await mend();
  tell('five seconds');

  wire.cut();
  await pass(AWAY_MS, Math.max(AWAY_MS, MINUTES_MS));
  await mend();
  tell('two minutes');

  // A sensor that is silent is a hole, whether the network is there or not.
  wire.cut();
  silent.add('slow');
  await pass(3000, 3000 + SILENCE_MS);
  silent.delete('slow');
  const { length } = ledger.slow;
  await until(() => ledger.slow.length, (n) => n > length);
  await mend({ fast: 0, slow: 1 });
  tell('silence');

  // Nothing says that these connections are dead: the page finds out.
  wire.hold();
  await until(() => linkOf(pages.fast), (said) => said === 'Stale', { ms: 15_000 });
  const held = published();
  await allLive();
  await whole(held, { fast: 0, slow: 1 });
  tell('half open');

  process.kill(Number(redis), 'SIGKILL');
  const killed = ledger.fast.length;
  const past = published();
  await until(() => device.open.size, (n) => n === 0 && ledger.fast.length > killed + 40,
    { ms: 30_000 });
  await allLive();
  await whole(past, { fast: 0, slow: 1 });
  tell('Redis killed');

  // Conflated readings since the last return are there too when history is read again.
  timers.forEach(clearInterval);
  await until(() => device.open.size, (n) => n === 0);
  for (const range of ['6h', '1h']) {
    await pages.fast.locator(`[data-range="${range}"]`).click();
    await pages.slow.locator(`[data-range="${range}"]`).click();
  }
  await whole(published(), { fast: 0, slow: 1 });
  console.log(story.join(', '), `${ledger.fast.length} and ${ledger.slow.length} readings`);
  // A browser says what could not be fetched, also while Redis was away; nothing else may be wrong.
  const faults = Object.values(pages).flatMap((page) => page.faults)
    .filter((fault) => !/ERR_|WebSocket|status of 5\d\d/.test(fault));
  assert.deepEqual(faults, []);
} finally {
  timers.forEach(clearInterval);
  device.stop();
  await browser.close();
  wire.stop();
}

/**
 * Chromium with the page in it, watched: whatever a healthy page never does is collected in
 * `faults`, so that every test can end with `assert.deepEqual(page.faults, [])`.
 */

import { chromium } from 'playwright-core';

const ARGUMENTS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

/** Chromium as `CHROMIUM` names it, else where Debian installs it. */
export function launch() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  return chromium.launch({ executablePath, headless: true, args: ARGUMENTS });
}

/**
 * @param {import('playwright-core').Browser} browser
 * @param {string} url of the page; requests to any other origin are faults
 * @param {{width?: number, height?: number, dark?: boolean, scale?: number, path?: string,
 *   watch?: (context: import('playwright-core').BrowserContext) => Promise<void>}} [how]
 */
export async function openPage(browser, url, how = {}) {
  const { width = 1440, height = 900, dark = false, scale = 1, path = '' } = how;
  const context = await browser.newContext({
    viewport: { width, height },
    deviceScaleFactor: scale,
    colorScheme: dark ? 'dark' : 'light',
    locale: 'en-GB',
    reducedMotion: 'reduce',
  });
  await how.watch?.(context);
  const page = await context.newPage();
  /** @type {string[]} */
  const faults = [];
  const { host } = new URL(url);
  page.on('console', (said) => {
    if (said.type() === 'error') faults.push(`console: ${said.text()} ${said.location().url}`);
  });
  page.on('pageerror', (error) => faults.push(`exception: ${error.stack ?? error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (new URL(request.url()).host !== host) faults.push(`foreign request: ${request.url()}`);
  });
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
    });
  });
  await page.goto(new URL(path, url).href);
  return Object.assign(page, { faults });
}

/** The card of a series. @param {import('playwright-core').Page} page */
export function cardOf(page, id, type) {
  const wanted = `article[data-sensor=${JSON.stringify(id)}][data-type=${JSON.stringify(type)}]`;
  return page.locator(wanted);
}

/** One fact of a card, a view or the frame, by its `data-role`. */
export const role = (within, name) => within.locator(`[data-role="${name}"]`);

/** What a locator's text is, to be polled. */
export const text = (locator) => () => locator.textContent();

/** Polls until `probe` gives what `wanted` accepts; fails with what it gave last. */
export async function until(probe, wanted, { ms = 5000 } = {}) {
  const end = Date.now() + ms;
  let last;
  do {
    last = await probe();
    if (wanted(last)) return last;
    await new Promise((done) => setTimeout(done, 25));
  } while (Date.now() < end);
  throw new Error(`not within ${ms} ms; last seen: ${JSON.stringify(last)}`);
}

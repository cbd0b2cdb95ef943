/**
 * The stage of tests of the page: Chromium for all tests of a file; for each of them a server of
 * its own, and the pages that it opens. `setStage()` stands once at the head of the file.
 */

import { after, afterEach, before, beforeEach } from 'node:test';
import { MockServer } from './mock-server.mjs';
import { launch, openPage, role, text, until } from './page.mjs';

let browser;
let pages = [];
/** The running test's. */
export let server;
/** The one that the running test opened last. */
export let page;

export function setStage() {
  before(async () => (browser = await launch()));
  after(async () => browser.close());
  beforeEach(() => serve());
  afterEach(async () => {
    for (const one of pages) await one.context().close();
    pages = [];
    await server.stop();
  });
}

/** Another server than the plain one, before a page is opened. */
export async function serve(how) {
  await server?.stop();
  server = await new MockServer(how).start();
}

/** Opens the page, as `openPage` has it. */
export async function open(how) {
  page = await openPage(browser, server.url, how);
  pages.push(page);
  return page;
}

/** Opens the page and waits until it is live. */
export async function openLive(how) {
  await open(how);
  await until(text(role(page, 'connection')), (said) => said === 'Live');
  return page;
}

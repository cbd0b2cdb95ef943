/** The line that says that what is below is not live, since when, and what happens next. */

import { h, setAttribute, setText } from './dom.js';
import { age, clockTime, duration } from './format.js';
import { icon } from './icons.js';

/** A first connection takes a moment; only after this long is it worth a word. */
const PATIENCE_MS = 1500;

export class Banner {
  /** @param {() => void} tryNow */
  constructor(tryNow) {
    this.strong = h('b');
    this.more = h('span', { class: 'more' });
    this.button = h('button', { class: 'button edge', type: 'button', click: tryNow }, 'Try now');
    this.plug = icon('plug');
    this.clock = icon('clock');
    this.element = h('div', { class: 'banner', hidden: true, 'data-role': 'banner' },
      this.plug, this.clock, h('p', {}, this.strong, ' ', this.more), this.button);
    this.bornAt = Date.now();
  }

  /** @param {import('./live.js').Link} link */
  draw(link) {
    const now = Date.now();
    const first = link.eventAt === 0 && now - this.bornAt < PATIENCE_MS;
    const off = link.state === 'off' && !first;
    const stale = link.state === 'stale';
    setAttribute(this.element, 'hidden', off || stale ? null : '');
    this.element.classList.toggle('off', off);
    this.element.classList.toggle('late', stale);
    setAttribute(this.plug, 'hidden', off ? null : '');
    setAttribute(this.clock, 'hidden', stale ? null : '');
    setAttribute(this.button, 'hidden', off ? null : '');
    this.button.disabled = link.retryAt === 0;
    if (off) this.drawOff(link, now);
    if (stale) this.drawStale(link, now);
  }

  /** @param {import('./live.js').Link} link @param {number} now */
  drawOff(link, now) {
    setText(this.strong, 'Not connected.');
    const ago = age((now - link.eventAt) / 1000);
    const said = ago === 'now' ? 'just now' : `${ago} ago`;
    const last = link.eventAt === 0 ? '' : `Last event ${clockTime(link.eventAt)}, ${said}. `;
    const left = Math.max(1, Math.ceil((link.retryAt - now) / 1000));
    const next = link.retryAt === 0 ? 'Trying now.' : `Trying again in ${duration(left)}.`;
    setText(this.more, `${last}${next} What was missed is fetched on return.`);
  }

  /** @param {import('./live.js').Link} link @param {number} now */
  drawStale(link, now) {
    const since = link.silentSince;
    setText(this.strong, `Nothing has arrived for ${duration((now - since) / 1000)}.`);
    const silent = `Connected, but silent since ${clockTime(since)}.`;
    setText(this.more, `${silent} Values below are the last ones known.`);
  }
}

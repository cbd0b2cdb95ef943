/** The bar at the top: the state of the connection, readings per second, clock zone, colours. */

import { h, part, setAttribute, setText, svg } from './dom.js';
import { clockTime, isUtc, rate, useUtc } from './format.js';
import { glyph, icon, setGlyph } from './icons.js';
import { isDark, onTheme, switchTheme } from './palette.js';

/** One bar for each 2.5 s: the last minute. */
const BARS = 24;
const MEAN_OF = 4;

const WORDS = new Map([
  ['connecting', ['unknown', 'Connecting']],
  ['live', ['online', 'Live']],
  ['stale', ['late', 'Stale']],
  ['off', ['offline', 'Not connected']],
]);

export class TopBar {
  /** @param {() => void} zoneChanged */
  constructor(zoneChanged) {
    this.element = part('top', HTMLElement);
    this.shape = glyph('unknown');
    this.plug = icon('plug', 'is-offline');
    this.word = h('b', { 'data-role': 'connection' }, 'Connecting');
    this.rate = h('span', { class: 'wide', 'data-role': 'rate' });
    this.bars = svg('svg', { class: 'bars', viewBox: '0 0 72 16', 'aria-hidden': 'true' });
    this.link = part('connection', HTMLElement);
    this.link.append(this.shape, this.plug, this.word, this.rate, this.bars);
    /** @type {number[]} */
    this.perSecond = [];
    this.drawBars();
    this.wireZone(zoneChanged);
    this.wireTheme();
  }

  /** @param {() => void} zoneChanged */
  wireZone(zoneChanged) {
    const button = part('utc', HTMLButtonElement);
    button.addEventListener('click', () => {
      useUtc(!isUtc());
      button.setAttribute('aria-pressed', String(isUtc()));
      zoneChanged();
    });
  }

  wireTheme() {
    const button = part('theme', HTMLButtonElement);
    const draw = () => {
      button.replaceChildren(icon(isDark() ? 'sun' : 'moon'));
      button.setAttribute('aria-label', isDark() ? 'Use light colours' : 'Use dark colours');
    };
    button.addEventListener('click', switchTheme);
    onTheme(draw);
    draw();
  }

  /** @param {import('./live.js').Link} link */
  draw(link) {
    const [shape = 'unknown', word = ''] = WORDS.get(link.state) ?? [];
    setGlyph(this.shape, shape);
    setText(this.word, word);
    const off = link.state === 'off';
    setAttribute(this.shape, 'hidden', off ? '' : null);
    setAttribute(this.plug, 'hidden', off ? null : '');
    setAttribute(this.link, 'data-state', link.state);
    const last = link.eventAt === 0 ? 'No event yet' : `Last event ${clockTime(link.eventAt)}`;
    setAttribute(this.link, 'title', `${word}. ${last}`);
    const shown = link.state === 'live' && this.perSecond.length > 0;
    setText(this.rate, shown ? rate(this.meanRate) : '');
    setAttribute(this.bars, 'hidden', off ? '' : null);
  }

  /** Over the last ones: the server's own table is up to a second old, so one alone jumps. */
  get meanRate() {
    const some = this.perSecond.slice(-MEAN_OF);
    return some.reduce((sum, one) => sum + one, 0) / Math.max(1, some.length);
  }

  /** @param {number} perSecond in the last stretch */
  addRate(perSecond) {
    this.perSecond.push(perSecond);
    if (this.perSecond.length > BARS) this.perSecond.shift();
    this.drawBars();
  }

  /** After a loss the old rate says nothing. */
  forgetRates() {
    this.perSecond = [];
    this.drawBars();
  }

  drawBars() {
    const most = Math.max(1, ...this.perSecond);
    const missing = BARS - this.perSecond.length;
    this.bars.replaceChildren(...Array.from({ length: BARS }, (_, i) => {
      const tall = 1.5 + 12.5 * ((this.perSecond[i - missing] ?? 0) / most);
      const now = i === BARS - 1 ? 'now' : null;
      return svg('path', { class: now, d: `M${i * 3 + 1.5} 16V${(16 - tall).toFixed(1)}` });
    }));
  }

  /** The line under the bar while something is fetched. @param {boolean} on */
  busy(on) {
    this.element.classList.toggle('busy', on);
  }
}

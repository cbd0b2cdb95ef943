/** The head of a group of cards: fold mark, name, count, exceptions in words, rule, crew. */

import { h, setAttribute, setText, svg } from './dom.js';
import { exact } from './format.js';
import { glyph, icon } from './icons.js';

/** Beyond this many sensors a tick stands for several and shows the worst of them. */
const TICKS_MOST = 48;
/** Worst first: where a tick starts, 12 units high, and what it is coloured by. */
const TICKS = new Map([['offline', 8.5], ['late', 5], ['online', 1]]);

export class GroupHead {
  /** @param {() => void} fold called when the reader folds or unfolds it */
  constructor(fold) {
    this.name = h('bdi', {});
    this.count = h('span', { class: 'dim' });
    this.exceptions = h('span', { class: 'exceptions' });
    this.crew = svg('svg', { class: 'crew', 'aria-hidden': 'true' });
    this.button = h('button', { class: 'fold', type: 'button', click: fold },
      icon('chevron'), this.name, this.count);
    this.element = h('div', { class: 'group-head' },
      h('h2', {}, this.button), this.exceptions, h('span', { class: 'rule' }), this.crew);
    /** What the crew shows now, one letter a sensor. */
    this.shown = '';
  }

  /** @param {import('./layout.js').Group} group @param {boolean} folded */
  draw(group, folded) {
    setText(this.name, group.name === '' ? 'No location' : group.name);
    setText(this.count, exact(group.members.length));
    setAttribute(this.button, 'aria-expanded', String(!folded));
    const statuses = group.members.map((one) => (one.status ?? 'online'));
    const shown = statuses.map((status) => status[1]).join('');
    if (shown === this.shown) return;
    this.shown = shown;
    this.exceptions.replaceChildren(...['late', 'offline'].flatMap((status) => {
      const n = statuses.filter((one) => one === status).length;
      return n === 0 ? [] : [h('span', { class: `is-${status}` }, glyph(status), `${n} ${status}`)];
    }));
    this.drawCrew(statuses);
  }

  /** @param {string[]} statuses */
  drawCrew(statuses) {
    const n = Math.min(statuses.length, TICKS_MOST);
    const of = statuses.length / n;
    this.crew.setAttribute('viewBox', `0 0 ${n * 4} 12`);
    this.crew.setAttribute('width', String(n * 4));
    this.crew.replaceChildren(...Array.from({ length: n }, (_, i) => {
      const some = statuses.slice(Math.floor(i * of), Math.floor((i + 1) * of));
      const worst = [...TICKS.keys()].find((status) => some.includes(status)) ?? 'online';
      return svg('path', { class: `tick-${worst}`, d: `M${i * 4 + 2} ${TICKS.get(worst)}V11` });
    }));
  }
}

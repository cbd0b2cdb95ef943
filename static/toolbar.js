/** Above the cards: how many sensors are in which state, and what they are grouped by. */

import { h, setAttribute, setText } from './dom.js';
import { exact } from './format.js';
import { glyph, setGlyph } from './icons.js';

/** @typedef {import('./catalogue.js').Series} Series */

/** @type {[string, string][]} */
const GROUPS = [['location', 'Location'], ['type', 'Type'], ['none', 'None']];
const STATES = /** @type {const} */ (['online', 'late', 'offline']);

export class Toolbar {
  /** @param {(by: string) => void} group */
  constructor(group) {
    this.allWord = h('span', {}, 'All ');
    this.all = h('b', { 'data-role': 'total' });
    this.states = STATES.map((status) => {
      const shape = glyph(status);
      const number = h('span', { class: 'n' });
      const word = h('span', { class: 'word' }, status);
      const element = h('span', { class: 'state' }, shape, number, word);
      return { status, shape, number, word, element };
    });
    this.note = h('span', { class: 'dim note' });
    this.buttons = GROUPS.map(([by, label]) => h('button', {
      type: 'button', 'data-group': by, click: () => group(by),
    }, label));
    this.element = h('div', { class: 'toolbar' },
      h('span', { class: 'all' }, this.allWord, this.all),
      ...this.states.map((one) => one.element), this.note, h('span', { class: 'push' }),
      h('span', { class: 'label', id: 'group-label' }, 'Group'),
      h('div', { class: 'segments', role: 'group', 'aria-labelledby': 'group-label' },
        ...this.buttons));
  }

  /**
   * @param {import('./catalogue.js').Catalogue} catalogue
   * @param {{connected: boolean, group: string, found: Series[] | null, more: boolean}} shown
   *   `found`: those that the search leaves; null: nothing is searched
   */
  draw(catalogue, { connected, group, found, more }) {
    const total = exact(catalogue.series.size);
    this.allWord.hidden = found !== null;
    setText(this.all, found === null ? total : `${exact(found.length)} of ${total}`);
    const counts = new Map(STATES.map((status) => [/** @type {string} */ (status), 0]));
    for (const one of found ?? catalogue.series.values()) {
      const status = one.status ?? 'online';
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
    for (const state of this.states) {
      const n = counts.get(state.status) ?? 0;
      const status = state.status === 'online' && !connected ? 'unknown' : state.status;
      setGlyph(state.shape, status);
      setText(state.number, exact(n));
      setText(state.word, status);
      state.element.hidden = n === 0;
    }
    setText(this.note, more ? 'There are more; the first ones are shown.' : '');
    for (const button of this.buttons) {
      setAttribute(button, 'aria-pressed', String(button.dataset.group === group));
    }
  }
}

/** Grey bones at the places of cards, while the first answer is on its way. */
export function skeleton() {
  const bone = (/** @type {string} */ kind) => h('i', { class: `bone ${kind}` });
  const cards = Array.from({ length: 12 }, () => h('div', { class: 'card' },
    bone('name'), bone('type'), bone('number'), bone('line'), bone('gauge')));
  return h('div', { class: 'skeleton', 'aria-hidden': 'true', hidden: true }, ...cards);
}

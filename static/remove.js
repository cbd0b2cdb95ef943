/**
 * Removing a sensor: the way to ask for it, the question before it, what stands where it was, and
 * the memory of it while the server's table still lists what is gone.
 */

import { askToDelete } from './api.js';
import { now } from './clock.js';
import { h, setAttribute, setText } from './dom.js';

/** The server's table is renewed each second; a row of before may come so long after. A guess. */
export const LISTED_MS_MOST = 2000;
/** More series than these are only counted. */
const NAMED_MOST = 8;
/** More sensors removed between two answers are not remembered; the next answers tell of them. */
const REMEMBERED_MOST = 10_000;

/**
 * @typedef {object} Needs
 * @property {() => string} shown the sensor whose detail is open; '' when none is
 * @property {(id: string) => string[]} types what it measures
 * @property {(id: string, askedAt: number) => void} done the server has taken the removal that was
 *   asked for then, in the server's ms since 1970
 */

export class RemoveSensor {
  /** @param {Needs} needs */
  constructor(needs) {
    this.needs = needs;
    /** The sensor in question; '' when none is. */
    this.id = '';
    this.element = h('div', { class: 'remove' },
      h('button', { class: 'button', type: 'button', 'data-role': 'remove',
        'aria-haspopup': 'dialog', click: () => this.open() }, 'Remove sensor…'));
    this.named = h('bdi');
    this.what = h('p', {});
    this.error = h('p', { class: 'error', role: 'alert' });
    this.cancel = h('button', { class: 'button edge', type: 'button', autofocus: true,
      click: () => this.close() }, 'Cancel');
    this.confirm = h('button', { class: 'button grave', type: 'button',
      'data-role': 'confirm-remove', click: () => void this.ask() });
    this.dialog = h('dialog', { class: 'question', 'aria-labelledby': 'remove-title' },
      h('h2', { id: 'remove-title' }, 'Remove ', this.named, '?'),
      this.what,
      h('p', {}, 'A sensor that still sends comes back with its next reading and is counted anew.'),
      this.error,
      h('div', { class: 'answers' }, this.cancel, this.confirm));
    this.dialog.addEventListener('close', () => (this.id = ''));
    // Keys of the page behind are not for this question; Escape closes it by itself.
    this.dialog.addEventListener('keydown', (event) => event.stopPropagation());
  }

  open() {
    this.id = this.needs.shown();
    if (this.id === '') return;
    const types = this.needs.types(this.id);
    setText(this.named, this.id);
    const named = types.length > NAMED_MOST ? '' : ` (${types.join(', ')})`;
    const all = types.length > 1 ? `all ${types.length} series${named}` : 'its series';
    setText(this.what, `This deletes ${all} for good: statistics, readings and windows.`);
    setText(this.error, '');
    this.busy(false);
    this.dialog.showModal();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  async ask() {
    const { id } = this;
    const askedAt = now();
    setText(this.error, '');
    this.busy(true);
    try {
      await askToDelete(`api/sensors/${encodeURIComponent(id)}`);
      if (this.id === id) this.close();
      this.needs.done(id, askedAt);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      if (this.id === id) setText(this.error, `It was not removed: ${said}`);
    }
    this.busy(false);
  }

  /** @param {boolean} on */
  busy(on) {
    setAttribute(this.confirm, 'disabled', on ? '' : null);
    setText(this.confirm, on ? 'Removing…' : 'Remove sensor');
  }
}

/** What stands where the detail of a sensor was that somebody removed. */
export class Gone {
  /** @param {() => void} leave */
  constructor(leave) {
    /** The sensor; '' when nothing is shown. */
    this.id = '';
    this.named = h('bdi');
    this.element = h('div', { class: 'no-match', hidden: true, 'data-role': 'gone' },
      h('h2', {}, this.named, ' was removed'),
      h('p', {}, 'Its statistics, readings and windows are deleted. When it sends again it comes back.'),
      h('button', { class: 'button edge', type: 'button', click: leave }, 'Show all sensors'));
  }

  /** @param {string} id '' hides it */
  show(id) {
    this.id = id;
    setText(this.named, id);
    this.element.hidden = id === '';
  }
}

/** Which sensors were removed a moment ago. */
export class Removed {
  constructor() {
    /** When the page heard of it, by the server's clock. @type {Map<string, number>} */
    this.heard = new Map();
  }

  /** @param {string} id */
  note(id) {
    if (this.heard.size < REMEMBERED_MOST) this.heard.set(id, now());
  }

  /** Whether it was removed since. @param {string} id @param {number} at ms */
  since(id, at) {
    return (this.heard.get(id) ?? -Infinity) >= at;
  }

  /**
   * Rows without those of sensors that were removed behind the server's last look.
   * @param {import('./events.js').Row[]} rows
   * @param {number | null} asOf when the server looked; null: now
   */
  without(rows, asOf) {
    if (this.heard.size === 0) return rows;
    const looked = (asOf ?? now()) - LISTED_MS_MOST;
    for (const [id, at] of this.heard) if (at < looked) this.heard.delete(id);
    return rows.filter((row) => !this.heard.has(row.id));
  }
}

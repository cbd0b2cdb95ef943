/** The field at the top: filters per keystroke, in the next frame; Enter opens the first hit. */

import { part, setAttribute } from './dom.js';
import { perFrame } from './frames.js';
import { icon } from './icons.js';

export class Search {
  /** @param {{change: (query: string) => void, enter: () => void}} typed */
  constructor(typed) {
    this.input = part('search', HTMLInputElement);
    const field = part('field', HTMLLabelElement);
    field.prepend(icon('search'));
    this.hint = field.querySelector('kbd');
    this.clearButton = document.createElement('button');
    this.clearButton.className = 'clear';
    this.clearButton.type = 'button';
    this.clearButton.setAttribute('aria-label', 'Clear the search');
    this.clearButton.append(icon('cross'));
    field.append(this.clearButton);
    /** What the list was last filtered by. */
    this.applied = '';
    this.apply = () => {
      this.drawHint();
      if (this.input.value === this.applied) return;
      this.applied = this.input.value;
      typed.change(this.applied);
    };
    const change = perFrame(this.apply);
    this.input.addEventListener('input', change);
    this.input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      // Whoever types fast means the first hit of what is typed, not of the frame before.
      this.apply();
      typed.enter();
    });
    this.clearButton.addEventListener('click', (event) => {
      event.preventDefault();
      this.clear();
      this.input.focus();
    });
    this.change = change;
    const narrow = matchMedia('(max-width: 699px)');
    const hint = () => {
      this.input.placeholder = narrow.matches ? 'Find' : 'Find by id, type or location';
    };
    narrow.addEventListener('change', hint);
    hint();
    this.drawHint();
  }

  drawHint() {
    const empty = this.input.value === '';
    setAttribute(this.clearButton, 'hidden', empty ? '' : null);
    if (this.hint) setAttribute(this.hint, 'hidden', empty ? null : '');
  }

  /** What the URL says, unless the reader is typing. @param {string} query */
  show(query) {
    if (document.activeElement !== this.input && this.input.value !== query) {
      this.input.value = query;
      this.applied = query;
      this.drawHint();
    }
  }

  /** @returns {boolean} whether there was something to clear */
  clear() {
    const had = this.input.value !== '';
    this.input.value = '';
    if (had) this.change();
    return had;
  }

  focus() {
    this.input.focus();
    this.input.select();
  }
}

/**
 * Exactly what is on the screen, as a file. The link asks the chart's own question with
 * `format=csv`; a chart that goes on live is first asked anew up to a fixed moment, so that the
 * rows of the file and those on the screen are the same ones.
 */

import { h } from './dom.js';
import { icon } from './icons.js';
import { addressOf } from './question.js';

export class CsvLink {
  /** @param {() => Promise<void>} settle ends when the chart shows what `draw` was last told */
  constructor(settle) {
    this.settle = settle;
    this.settled = false;
    // The server names the file.
    this.element = h('a', {
      class: 'button edge', download: true, 'aria-label': 'CSV of what is shown',
      title: 'CSV of what is shown', 'data-role': 'csv', hidden: true,
      click: (event) => this.onClick(event),
    }, icon('download'), h('span', { class: 'wide' }, 'CSV'));
  }

  /**
   * @param {{id: string, type: string}} series
   * @param {import('./stretch.js').Stretch} stretch what is on the screen
   */
  draw(series, stretch) {
    const { question, resolution, rows } = stretch;
    this.element.hidden = rows.length === 0 || question.points === 0;
    if (this.element.hidden) return;
    const address = addressOf(series, { ...question, resolution }, { format: 'csv' });
    if (this.element.getAttribute('href') !== address) this.element.href = address;
  }

  /** @param {Event} event */
  onClick(event) {
    if (this.settled) {
      this.settled = false;
      return;
    }
    event.preventDefault();
    void this.settle().finally(() => {
      this.settled = true;
      this.element.click();
    });
  }
}

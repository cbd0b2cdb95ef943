/** The page's few drawings: 16 px icons, the shapes of the states, the mark. */

import { svg } from './dom.js';

const PATHS = new Map([
  ['search', 'M7 12.2a5.2 5.2 0 1 0 0-10.4 5.2 5.2 0 0 0 0 10.4M10.8 10.8l3.4 3.4'],
  ['sun', 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1'
    + 'M11.9 11.9L13 13M13 3l-1.1 1.1M4.1 11.9L3 13'],
  ['moon', 'M13.4 9.7a5.8 5.8 0 0 1-7.1-7.1 5.8 5.8 0 1 0 7.1 7.1z'],
  ['chevron', 'M4 6l4 4 4-4'],
  ['cross', 'M3.5 3.5l9 9M12.5 3.5l-9 9'],
  ['back', 'M9.5 3.5L5 8l4.5 4.5'],
  ['download', 'M8 2.5v7.5M4.7 7L8 10.3 11.3 7M2.5 13.5h11'],
  ['copy', 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3'],
  ['check', 'M3 8.5L6.4 12 13 4.5'],
  ['warning', 'M8 2.2l6.6 11.4H1.4zM8 6.6v3M8 11.6v.01'],
  ['clock', 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M8 4.8V8l2.2 1.6'],
  ['plug', 'M2 14l3-3M5.2 7.2l3.6 3.6-1.2 1.2a2.5 2.5 0 0 1-3.6-3.6zM8.6 3.9l3.5 3.5M14 2l-3 3'
    + 'M9.9 5.2l.9-.9a2.5 2.5 0 0 1 3.6 3.6'],
]);

/** @param {string} name @param {string} [more] further classes */
export function icon(name, more = '') {
  return svg('svg', { class: `icon ${more}`, viewBox: '0 0 16 16', 'aria-hidden': 'true' },
    svg('path', { d: PATHS.get(name) ?? '' }));
}

/** A shape for each state, so that colour only repeats what the shape says. */
const SHAPES = new Map([
  ['online', () => [svg('circle', { cx: 6, cy: 6, r: 4, fill: 'currentColor', stroke: 'none' })]],
  ['late', () => [
    svg('circle', { cx: 6, cy: 6, r: 4.2 }),
    svg('path', { d: 'M6 1.8a4.2 4.2 0 0 0 0 8.4z', fill: 'currentColor' }),
  ]],
  ['offline', () => [
    svg('circle', { cx: 6, cy: 6, r: 4.2 }),
    svg('path', { d: 'M3.2 8.8l5.6-5.6' }),
  ]],
  ['unknown', () => [svg('circle', { cx: 6, cy: 6, r: 4.2, 'stroke-dasharray': '1.6 2.8' })]],
]);

/** @param {string} status */
export function glyph(status) {
  const shape = svg('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' });
  setGlyph(shape, status);
  return shape;
}

/** @param {SVGSVGElement} shape @param {string} status */
export function setGlyph(shape, status) {
  if (shape.dataset.is === status) return;
  shape.dataset.is = status;
  shape.setAttribute('class', `glyph is-${SHAPES.has(status) ? status : 'unknown'}`);
  shape.replaceChildren(...(SHAPES.get(status) ?? SHAPES.get('unknown') ?? (() => []))());
}

/** A staff of four graduations in two waves. */
export function mark() {
  const wave = 'q2.5-2.8 5 0t5 0 5 0 5 0';
  return svg('svg', { class: 'mark', viewBox: '0 0 24 24', 'aria-hidden': 'true' },
    svg('path', { d: 'M8.5 1.8v12M8.5 2.6h7M8.5 5.6h3.6M8.5 8.6h7M8.5 11.6h3.6' }),
    svg('path', { class: 'water', d: `M2 17.4${wave}M2 21.4${wave}` }));
}

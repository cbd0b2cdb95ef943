/** The colours of style sheets for canvases: read once, and again when the theme changes. */

const NAMES = /** @type {const} */ ([
  'surface', 'line', 'line-2', 'ink', 'ink-2', 'ink-3', 'water', 's1',
]);

/** @typedef {Record<typeof NAMES[number], string>} Colours */

/** @type {Colours | null} */
let colours = null;
/** @type {Set<() => void>} */
const repaints = new Set();

/** @returns {Colours} */
export function palette() {
  if (colours) return colours;
  // A property holds `light-dark(…)`; only a used value says which of the two it is.
  const probe = document.createElement('i');
  probe.hidden = true;
  document.body.append(probe);
  const read = /** @type {Colours} */ ({});
  for (const name of NAMES) {
    probe.style.color = `var(--${name})`;
    read[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  colours = read;
  return read;
}

/** Whether the page is dark at this moment. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

/** @param {() => void} repaint called after every change of theme */
export function onTheme(repaint) {
  repaints.add(repaint);
}

function changed() {
  colours = null;
  for (const repaint of repaints) repaint();
}

/** Light to dark and back, remembered unless storage is forbidden. */
export function switchTheme() {
  const next = isDark() ? 'light' : 'dark';
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem('streamgauge-theme', next);
  } catch {
    // Not remembered then; the switch itself has worked.
  }
  changed();
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);

/**
 * What is looked at lives in the URL's fragment, as `#sensor=…&type=…&range=24h` or `#q=…`;
 * `from` and `to`, in ms since 1970, are what the chart is zoomed to. The fragment never reaches the
 * server, so it needs no rules there and shows in no log.
 */

/** Of one sensor's view; they go with it. */
const DETAIL = /** @type {const} */ (['sensor', 'type', 'range', 'from', 'to']);
const FIELDS = /** @type {const} */ ([...DETAIL, 'q', 'group']);

/** @typedef {Record<(typeof FIELDS)[number], string>} Route */

/** @type {Route} */
const NOWHERE = { sensor: '', type: '', range: '', from: '', to: '', q: '', group: '' };

/** @returns {Route} absent fields are '' */
export function readRoute() {
  const said = new URLSearchParams(location.hash.slice(1));
  const route = { ...NOWHERE };
  for (const field of FIELDS) route[field] = said.get(field) ?? '';
  return route;
}

/**
 * @param {Partial<Route>} change
 * @returns {string} a fragment that differs from the present one by `change`
 */
export function linkTo(change) {
  const next = { ...readRoute(), ...change };
  const said = new URLSearchParams();
  for (const field of FIELDS) if (next[field] !== '') said.set(field, next[field]);
  return `#${said.toString()}`;
}

/** A step that Back undoes: another view. @param {Partial<Route>} change */
export function goTo(change) {
  history.pushState({ inside: true }, '', linkTo(change));
  dispatchEvent(new Event('route'));
}

/** A change that Back does not undo: typing, a range. @param {Partial<Route>} change */
export function amend(change) {
  history.replaceState(history.state, '', linkTo(change));
  dispatchEvent(new Event('route'));
}

/** What leads to all sensors. @type {Partial<Route>} */
export const ALL_SENSORS = Object.fromEntries(DETAIL.map((field) => [field, '']));

/** Out of the detail view: back where one came from, else to all sensors. */
export function leaveSensor() {
  if (history.state?.inside) history.back();
  else amend(ALL_SENSORS);
}

/** @param {() => void} follow called when the route changed by whatever means */
export function onRoute(follow) {
  addEventListener('route', follow);
  addEventListener('popstate', follow);
}

/**
 * Where each card stands: pure arithmetic over fixed heights, so that ten thousand cards need no
 * measuring and only those on the screen need to exist.
 *
 * Groups that fit stand side by side in one row of cards; the last one's rule reaches the edge.
 */

/** @typedef {import('./catalogue.js').Series} Series */

/**
 * @typedef {object} Sizes in pixels
 * @property {number} width of the list
 * @property {number} card height of a card
 * @property {number} cardWidth the least
 * @property {number} head height of a group's head with the space above it; 0: no heads
 * @property {number} gap
 */

/**
 * @typedef {{name: string, members: Series[]}} Group
 * @typedef {{x: number, y: number, width: number}} Place
 * @typedef {Place & {group: Group}} HeadPlace
 * @typedef {Place & {series: Series, group: Group}} CardPlace
 * @typedef {{heads: HeadPlace[], cards: CardPlace[], columns: number, height: number}} Layout
 */

const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

/**
 * @param {Iterable<Series>} list
 * @param {string} by 'location', 'type' or 'none'
 * @returns {Group[]} in order; those without a location come last
 */
export function grouped(list, by) {
  /** @type {Map<string, Series[]>} */
  const groups = new Map();
  for (const one of list) {
    const name = by === 'none' ? '' : by === 'type' ? one.type : (one.location ?? '');
    const members = groups.get(name);
    if (members) members.push(one);
    else groups.set(name, [one]);
  }
  return [...groups]
    .map(([name, members]) => ({ name, members: members.sort(bySeries) }))
    .sort((a, b) => nameless(a) - nameless(b) || byName.compare(a.name, b.name));
}

/** @param {Group} group */
const nameless = (group) => Number(group.name === '');

/** @param {Series} a @param {Series} b */
function bySeries(a, b) {
  return byName.compare(a.id, b.id) || byName.compare(a.type, b.type) || (a.key < b.key ? -1 : 1);
}

/**
 * @param {Group[]} groups
 * @param {Sizes} sizes
 * @param {Set<string>} folded names of groups that show their head only
 * @returns {Layout}
 */
export function placed(groups, sizes, folded) {
  const { width, gap, head } = sizes;
  const columns = Math.max(1, Math.floor((width + gap) / (sizes.cardWidth + gap)));
  const step = (width + gap) / columns;
  /** @type {Layout} */
  const out = { heads: [], cards: [], columns, height: 0 };
  let [used, top, bottom] = [0, 0, 0];
  for (const group of groups) {
    const span = Math.min(group.members.length, columns);
    if (used + span > columns) {
      stretchLast(out, width);
      [used, top] = [0, bottom];
    }
    const x = used * step;
    out.heads.push({ x, y: top, width: span * step - gap, group });
    const members = folded.has(group.name) ? [] : group.members;
    members.forEach((series, i) => {
      const y = top + head + Math.floor(i / columns) * (sizes.card + gap);
      out.cards.push({ x: x + (i % columns) * step, y, width: step - gap, series, group });
    });
    const rows = Math.ceil(members.length / columns);
    // The space above a head is part of it; without heads rows of cards need a gap themselves.
    const end = rows === 0 ? 0 : rows * (sizes.card + gap) - (head > 0 ? gap : 0);
    bottom = Math.max(bottom, top + head + end);
    used += span;
  }
  stretchLast(out, width);
  out.height = bottom;
  return out;
}

/** @param {Layout} layout @param {number} width */
function stretchLast(layout, width) {
  const last = layout.heads.at(-1);
  if (last) last.width = width - last.x;
}

/**
 * @param {CardPlace[]} cards
 * @param {number} from index of a card
 * @param {string} key of the keyboard
 * @param {number} screen how many rows a page has
 * @returns {number} index of the card that key leads to
 */
export function neighbour(cards, from, key, screen) {
  const here = cards[from];
  if (!here) return 0;
  const last = cards.length - 1;
  if (key === 'ArrowRight') return Math.min(last, from + 1);
  if (key === 'ArrowLeft') return Math.max(0, from - 1);
  if (key === 'Home') return 0;
  if (key === 'End') return last;
  const down = key === 'ArrowDown' || key === 'PageDown';
  let left = key.startsWith('Page') ? screen : 1;
  let [best, row] = [from, here.y];
  for (let i = from; i >= 0 && i <= last; i += down ? 1 : -1) {
    const at = /** @type {CardPlace} */ (cards[i]);
    if (down ? at.y > row : at.y < row) {
      if (left === 0) break;
      [row, best] = [at.y, i];
      left -= 1;
    }
    const nearest = /** @type {CardPlace} */ (cards[best]);
    if (at.y === row && Math.abs(at.x - here.x) < Math.abs(nearest.x - here.x)) best = i;
  }
  return best;
}

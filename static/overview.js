/** All sensors as cards: which of them, in what order, and only those that are on the screen. */

import { Card } from './card.js';
import { h, setAttribute, setText } from './dom.js';
import { perFrame } from './frames.js';
import { GroupHead } from './grouphead.js';
import { grouped, neighbour, placed } from './layout.js';

/** @typedef {import('./catalogue.js').Series} Series */

/** Cards this far beyond the screen exist already, so that scrolling meets no hole. */
const BEYOND_PX = 400;
/** New order waits while the pointer moves over the list, but not for longer than the second. */
const POINTER_REST_MS = 1500;
const ORDER_MS_MOST = 5000;

/**
 * @typedef {object} Needs what the list needs from the rest of the page
 * @property {import('./catalogue.js').Catalogue} catalogue
 * @property {() => import('./card.js').Moment} moment
 * @property {(series: Series) => void} open
 * @property {(series: Series) => void} seen a card has come onto the screen
 */

export class Overview {
  /** @param {Needs} needs */
  constructor(needs) {
    this.needs = needs;
    this.list = h('div', { class: 'list', role: 'group', 'aria-label': 'Sensors' });
    this.element = h('div', { class: 'page' }, this.list);
    this.query = '';
    this.group = 'location';
    /** @type {Set<string>} */
    this.folded = new Set();
    /** @type {Map<string, Card>} those in the document, by key of the series */
    this.cards = new Map();
    /** @type {Map<string, GroupHead>} by name of the group */
    this.heads = new Map();
    /** @type {import('./layout.js').Layout} */
    this.layout = { heads: [], cards: [], columns: 1, height: 0 };
    /** The one card that the tab key reaches. */
    this.focusKey = '';
    this.orderShown = -1;
    this.orderAt = 0;
    this.pointerAt = 0;
    this.place = perFrame(() => this.render());
    this.listen();
  }

  listen() {
    addEventListener('scroll', this.place, { passive: true });
    new ResizeObserver(() => this.arrange()).observe(this.element);
    this.list.addEventListener('pointermove', () => (this.pointerAt = Date.now()));
    this.list.addEventListener('click', (event) => this.openAt(event.target));
    this.list.addEventListener('focusin', (event) => {
      const card = this.cardAt(event.target);
      if (!card) return;
      this.focusKey = card.series.key;
      card.describe();
      for (const one of this.cards.values()) this.markFocus(one);
    });
    this.list.addEventListener('keydown', (event) => this.onKey(event));
  }

  /** @param {EventTarget | null} target */
  cardAt(target) {
    const element = target instanceof Element ? target.closest('article') : null;
    return [...this.cards.values()].find((card) => card.element === element) ?? null;
  }

  /** @param {EventTarget | null} target */
  openAt(target) {
    const card = this.cardAt(target);
    if (card) this.needs.open(card.series);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const card = this.cardAt(event.target);
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Enter') this.needs.open(card.series);
    if (!/^(Arrow|Page|Home$|End$)/.test(event.key)) return;
    event.preventDefault();
    const here = this.layout.cards.findIndex((at) => at.series === card.series);
    const rows = Math.max(1, Math.floor(innerHeight / (card.element.offsetHeight + 12)) - 1);
    const next = this.layout.cards[neighbour(this.layout.cards, here, event.key, rows)];
    if (next) this.focus(next);
  }

  /** @param {import('./layout.js').CardPlace} place */
  focus(place) {
    this.focusKey = place.series.key;
    const top = this.list.getBoundingClientRect().top + place.y;
    const room = innerHeight * 0.3;
    if (top < 70) scrollBy(0, top - Math.max(70, room));
    else if (top + 170 > innerHeight) scrollBy(0, top + 170 - innerHeight + room);
    this.render();
    this.cards.get(place.series.key)?.element.focus({ preventScroll: true });
  }

  /** @param {Card} card */
  markFocus(card) {
    card.element.tabIndex = card.series.key === this.focusKey ? 0 : -1;
  }

  /** The series that the present words find. */
  get found() {
    return this.layout.heads.flatMap((head) => head.group.members);
  }

  /** How many those are. */
  get hits() {
    return this.layout.heads.reduce((sum, head) => sum + head.group.members.length, 0);
  }

  /** The first hit, which Enter in the search opens. */
  get first() {
    return this.layout.heads[0]?.group.members[0] ?? null;
  }

  /** @param {string} query @param {string} group */
  show(query, group) {
    this.query = query;
    this.group = group;
    this.arrange();
  }

  /** Puts everything at its place again. */
  arrange() {
    const width = this.list.clientWidth;
    if (width === 0) return;
    const words = this.query.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [...this.needs.catalogue.series.values()].filter((one) => matches(one, words));
    this.layout = placed(grouped(found, this.group), this.sizes(width), this.folded);
    this.orderShown = this.needs.catalogue.order;
    this.orderAt = Date.now();
    this.list.style.height = `${this.layout.height}px`;
    if (!this.layout.cards.some((at) => at.series.key === this.focusKey)) {
      this.focusKey = this.layout.cards[0]?.series.key ?? '';
    }
    this.render();
  }

  /** @param {number} width @returns {import('./layout.js').Sizes} */
  sizes(width) {
    const style = getComputedStyle(this.list);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    /** @param {string} name of a property that holds a length in rem */
    const length = (name) => parseFloat(style.getPropertyValue(name)) * rem;
    const head = this.group === 'none' ? 0 : length('--head-height');
    const [card, cardWidth] = [length('--card-height'), length('--card-width')];
    return { width, card, cardWidth, head, gap: length('--gap') };
  }

  /** Makes what has come onto the screen, removes what has left it. */
  render() {
    if (this.list.clientWidth === 0) return;
    const top = -this.list.getBoundingClientRect().top - BEYOND_PX;
    const bottom = top + innerHeight + 2 * BEYOND_PX;
    /** @param {{y: number}} at */
    const near = (at) => at.y > top - 200 && at.y < bottom;
    const heads = this.group === 'none' ? [] : this.layout.heads.filter(near);
    const cards = this.layout.cards.filter(near);
    /** @type {HTMLElement[]} */
    const wanted = [];
    for (const at of heads) wanted.push(this.headFor(at));
    // Heads stand before the cards of their group, so that a reader hears them in this order.
    for (const at of cards) wanted.push(this.cardFor(at));
    keepOnly(this.heads, new Set(heads.map((at) => at.group.name)));
    keepOnly(this.cards, new Set(cards.map((at) => at.series.key)));
    this.inOrder(wanted);
  }

  /** @param {HTMLElement[]} wanted */
  inOrder(wanted) {
    const order = new Map(this.layout.heads.map((at, i) => [at.group.name, i]));
    const rank = (/** @type {HTMLElement} */ e) => order.get(e.dataset.group ?? '') ?? 0;
    wanted.sort((a, b) => rank(a) - rank(b));
    const keep = new Set(wanted);
    for (const child of [...this.list.children]) {
      if (!keep.has(/** @type {HTMLElement} */ (child))) child.remove();
    }
    let next = this.list.firstElementChild;
    for (const element of wanted) {
      if (element === next) next = next.nextElementSibling;
      else this.list.insertBefore(element, next);
    }
    const moment = this.needs.moment();
    for (const card of this.cards.values()) if (card.sparkAt === 0) this.drawCard(card, moment);
  }

  /** @param {import('./layout.js').HeadPlace} at */
  headFor(at) {
    const { name } = at.group;
    let head = this.heads.get(name);
    if (!head) {
      head = new GroupHead(() => this.fold(name));
      this.heads.set(name, head);
    }
    head.draw(at.group, this.folded.has(name));
    put(head.element, at, name);
    return head.element;
  }

  /** @param {import('./layout.js').CardPlace} at */
  cardFor(at) {
    let card = this.cards.get(at.series.key);
    if (card && card.element.style.width !== `${at.width}px`) card.spark.width = card.sparkAt = 0;
    if (!card) {
      card = new Card(at.series);
      this.cards.set(at.series.key, card);
      this.needs.catalogue.keepSpark(at.series);
      this.needs.seen(at.series);
    }
    this.markFocus(card);
    put(card.element, at, at.group.name);
    return card.element;
  }

  /** @param {string} name */
  fold(name) {
    if (!this.folded.delete(name)) this.folded.add(name);
    this.arrange();
  }

  /** @param {Card} card @param {import('./card.js').Moment} moment */
  drawCard(card, moment) {
    const { type, location } = card.series;
    const both = location === null ? type : `${type} · ${location}`;
    const byType = location ?? 'No location';
    card.draw(moment, this.group === 'location' ? type : this.group === 'type' ? byType : both);
  }

  /** Draws those that changed and are on the screen. @param {Set<Series>} changed */
  refresh(changed) {
    const moment = this.needs.moment();
    for (const card of this.cards.values()) {
      if (changed.has(card.series)) this.drawCard(card, moment);
    }
    if (this.orderShown !== this.needs.catalogue.order && this.mayReorder()) this.arrange();
  }

  /** Nothing moves under a pointer that is about to press. */
  mayReorder() {
    if (this.layout.cards.length === 0) return true;
    const now = Date.now();
    const rested = now - this.pointerAt > POINTER_REST_MS;
    return (rested && now - this.orderAt > 1000) || now - this.orderAt > ORDER_MS_MOST;
  }

  /** Once a second: ages, and sparklines whose window moved. */
  tick() {
    const moment = this.needs.moment();
    for (const card of this.cards.values()) card.tick(moment);
    for (const head of this.layout.heads) {
      this.heads.get(head.group.name)?.draw(head.group, this.folded.has(head.group.name));
    }
    if (this.orderShown !== this.needs.catalogue.order && this.mayReorder()) this.arrange();
  }

  /** Everything again: another theme, another state of the connection, another zone. */
  redraw() {
    const moment = this.needs.moment();
    for (const card of this.cards.values()) this.drawCard(card, moment);
  }
}

/** @param {Series} one @param {string[]} words all of which must occur */
function matches(one, words) {
  if (words.length === 0) return true;
  const text = `${one.id} ${one.type} ${one.location ?? ''}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

/** @param {HTMLElement} element @param {import('./layout.js').Place} at @param {string} group */
function put(element, at, group) {
  element.style.width = `${at.width}px`;
  element.style.translate = `${at.x}px ${at.y}px`;
  element.dataset.group = group;
}

/** @param {Map<string, unknown>} map @param {Set<string>} keys */
function keepOnly(map, keys) {
  for (const key of map.keys()) if (!keys.has(key)) map.delete(key);
}

/** What is shown when nothing is found: what was searched, and the way out. */
export class NoMatch {
  /** @param {() => void} showAll */
  constructor(showAll) {
    this.said = h('p', {});
    this.all = h('button', { class: 'button edge', type: 'button', click: showAll });
    this.element = h('div', { class: 'no-match', hidden: true },
      h('h2', {}, 'No sensor matches'), this.said, this.all);
  }

  /** @param {string} query @param {number} total @param {boolean} shown */
  draw(query, total, shown) {
    setAttribute(this.element, 'hidden', shown ? null : '');
    setText(this.said, `Nothing is called “${query}”. Ids, types and locations were searched.`);
    setText(this.all, `Show all ${total}`);
  }
}

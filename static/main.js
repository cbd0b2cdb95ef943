/**
 * The page, wired: socket → events → catalogue and series → cards and chart. No logic lives
 * here but what joins two parts; `Page` is the only thing that knows all of them.
 */

import { ask } from './api.js';
import { Banner } from './banner.js';
import { Catalogue } from './catalogue.js';
import { Census } from './census.js';
import { now } from './clock.js';
import { Detail } from './detail.js';
import { part, setAttribute } from './dom.js';
import { deviceDoor, Empty } from './empty.js';
import { perFrame } from './frames.js';
import { mark } from './icons.js';
import { Live } from './live.js';
import { NoMatch, Overview } from './overview.js';
import { onTheme } from './palette.js';
import { Gone, RemoveSensor } from './remove.js';
import { Seeds } from './seeds.js';
import { ALL_SENSORS, amend, goTo, leaveSensor, onRoute, readRoute } from './route.js';
import { Says } from './says.js';
import { Search } from './search.js';
import { skeleton, Toolbar } from './toolbar.js';
import { TopBar } from './topbar.js';

/** Bones before this would flash. */
const BONES_MS = 150;
/** 24 rates make the last minute. */
const RATE_MS = 2500;
/** The number of hits is said after the last key. */
const SAY_MS = 500;

class Page {
  constructor() {
    this.says = new Says(part('says', HTMLElement));
    this.catalogue = new Catalogue((one, from, to) => this.says.turned(one, from, to));
    this.seeds = new Seeds(this.catalogue);
    this.census = new Census(this.catalogue, {
      onList: () => this.onList(),
      onDropped: (ids) => this.onDropped(ids),
      onRate: (perSecond) => this.onRate(perSecond),
    });
    this.live = new Live({
      onEvent: (event) => this.onEvent(event),
      onJoin: () => this.onJoin(),
      onPart: () => this.onPart(),
      onLink: () => this.drawLink(),
    });
    const moment = () => ({ now: now(), connected: this.live.link().state === 'live' });
    this.topBar = new TopBar(() => this.redraw());
    this.banner = new Banner(() => this.live.socket.tryNow());
    this.toolbar = new Toolbar((group) => amend({ group: group === 'location' ? '' : group }));
    this.overview = new Overview({
      catalogue: this.catalogue,
      moment,
      open: (one) => goTo({ sensor: one.id, type: one.type }),
      seen: (one) => this.seeds.want(one),
    });
    this.detail = new Detail({
      catalogue: this.catalogue,
      moment,
      back: leaveSensor,
      chooseRange: (range) => amend({ range, from: '', to: '' }),
      zoom: (zoom) => amend({ from: `${zoom?.from ?? ''}`, to: `${zoom?.to ?? ''}` }),
      busy: (on) => this.topBar.busy(on),
      connecting: () => this.live.link().state === 'connecting',
      listed: () => this.census.isWhole,
    });
    this.search = new Search({ change: (q) => this.onQuery(q), enter: () => this.openFirst() });
    this.remove = new RemoveSensor({
      shown: () => readRoute().sensor,
      types: (id) => this.catalogue.allOf(id).map((one) => one.type),
      done: (id, askedAt) => this.onRemovedByUs(id, askedAt),
    });
    this.gone = new Gone(leaveSensor);
    this.noMatch = new NoMatch(() => this.search.clear());
    this.empty = new Empty();
    this.bones = skeleton();
    this.draw = perFrame(() => this.drawChanged());
    /** How far down the list was when a sensor was opened. */
    this.leftAt = 0;
    /** No list has come yet. */
    this.isBare = true;
    /** What the surroundings were last drawn for. */
    this.shape = '';
  }

  start() {
    part('brand', HTMLAnchorElement).prepend(mark());
    const { banner, toolbar, bones, overview, noMatch, empty, detail } = this;
    part('main', HTMLElement).append(banner.element, toolbar.element, bones, overview.element,
      noMatch.element, empty.element, detail.element, this.gone.element, this.remove.dialog);
    detail.allTime.element.after(this.remove.element);
    setTimeout(() => this.follow(), BONES_MS);
    onRoute(() => this.follow());
    onTheme(() => this.redraw());
    addEventListener('keydown', (event) => this.onKey(event));
    document.addEventListener('visibilitychange', () => this.onVisible());
    setInterval(() => this.tick(), 1000);
    setInterval(() => this.learnRate(), RATE_MS);
    this.follow();
    this.live.start();
    // The first picture, before the socket stands.
    void this.census.read();
  }

  onList() {
    if (this.isBare) {
      this.isBare = false;
      this.follow();
    }
    this.draw();
  }

  /** @param {number} perSecond */
  onRate(perSecond) {
    this.topBar.addRate(perSecond);
    this.drawLink();
  }

  learnRate() {
    if (!document.hidden && this.live.link().state === 'live') this.census.learnRate();
  }

  /** Live readings come from here on: what was missed is fetched. */
  onJoin() {
    this.topBar.forgetRates();
    this.census.join();
    this.seeds.join();
    this.detail.join();
    this.seedCards();
  }

  onPart() {
    this.catalogue.part();
    this.detail.timeline.part();
  }

  /** Cards on the screen whose last minutes are not known. */
  seedCards() {
    if (this.isInside) return;
    for (const card of this.overview.cards.values()) this.seeds.want(card.series);
  }

  /** @param {import('./events.js').PageEvent} event */
  onEvent(event) {
    switch (event.kind) {
      case 'readings':
        this.takeReadings(event.readings);
        break;
      case 'stats':
        this.census.push(event.rows, event.asOf);
        break;
      case 'status':
        this.census.pushStatus(event.id, event.type, event.status);
        break;
      case 'removed':
        this.onRemoved(event.id);
        break;
      case 'reset':
        this.census.reset();
        this.catalogue.reset();
        this.detail.timeline.reset();
        break;
      case 'lost':
        this.catalogue.tear(event.shard);
        this.detail.timeline.part();
        break;
      default:
    }
    this.draw();
  }

  /** @param {import('./events.js').Reading[]} readings */
  takeReadings(readings) {
    for (const reading of readings) {
      this.catalogue.applyReading(reading);
      this.detail.take(reading);
    }
    if (readings.length > 0) this.census.loaded = true;
  }

  /** @param {string} id a sensor that somebody removed */
  onRemoved(id) {
    this.census.removed.note(id);
    this.catalogue.remove(id);
    this.lose(id);
    this.draw();
  }

  /**
   * The list does not have them any more: they were removed while nobody told this page.
   * @param {Set<string>} ids
   */
  onDropped(ids) {
    const { sensor } = readRoute();
    if (ids.has(sensor) && this.catalogue.allOf(sensor).length === 0) this.lose(sensor);
  }

  /** Who looks at this sensor is told that there is none. @param {string} id */
  lose(id) {
    if (this.remove.id === id) this.remove.close();
    if (readRoute().sensor === id && this.detail.isOpen) {
      this.gone.show(id);
      this.follow();
      this.says.say(`${id} was removed`, 0);
    }
  }

  /**
   * The socket may have told of it before, and the sensor may be back.
   * @param {string} id @param {number} askedAt
   */
  onRemovedByUs(id, askedAt) {
    if (!this.census.removed.since(id, askedAt)) this.onRemoved(id);
    if (readRoute().sensor === id) leaveSensor();
    this.says.say(`${id} was removed`, 0);
  }

  drawLink() {
    const link = this.live.link();
    this.topBar.draw(link);
    this.banner.draw(link);
    const main = part('main', HTMLElement);
    const before = main.dataset.link;
    if (before === link.state) return;
    main.dataset.link = link.state;
    this.draw();
    this.overview.redraw();
    this.detail.rebuild();
    const words = { live: 'Connected', stale: 'Nothing arrives', off: 'Not connected' };
    if (before && link.state !== 'connecting') this.says.say(words[link.state], 0);
  }

  tick() {
    this.live.tick();
    if (document.hidden) return;
    this.drawLink();
    if (this.live.link().state === 'live') {
      this.census.tick();
      this.seedCards();
    }
    if (this.detail.isOpen) this.detail.tick();
    else this.overview.tick();
    this.drawAround();
  }

  onVisible() {
    this.census.forgetRate();
    if (document.hidden) return;
    void this.census.read();
    this.tick();
  }

  drawChanged() {
    const changed = this.catalogue.takeChanged();
    if (this.gone.id !== '' && this.catalogue.allOf(this.gone.id).length > 0) {
      // It sent again.
      this.gone.show('');
      this.follow();
    }
    if (this.detail.isOpen) {
      if (this.detail.series && changed.has(this.detail.series)) this.detail.ask();
      return;
    }
    this.overview.refresh(changed);
    const shape = `${this.catalogue.order} ${this.census.loaded}`;
    if (shape !== this.shape) this.drawAround();
    this.shape = shape;
  }

  /** What stands around the cards. */
  drawAround() {
    const open = this.isInside;
    const { size } = this.catalogue.series;
    const none = this.census.loaded && size === 0;
    const { hits } = this.overview;
    const group = this.overview.group;
    const connected = this.live.link().state === 'live';
    const found = this.overview.query.trim() === '' ? null : this.overview.found;
    this.toolbar.draw(this.catalogue, { connected, group, found, more: this.census.hasMore });
    setAttribute(this.toolbar.element, 'hidden', open || size === 0 ? '' : null);
    setAttribute(this.overview.element, 'hidden', open || size === 0 ? '' : null);
    this.noMatch.draw(this.overview.query, size, !open && size > 0 && hits === 0);
    if (none && !open && this.empty.element.hidden) void this.tellWhereToSend();
    setAttribute(this.empty.element, 'hidden', none && !open ? null : '');
    const early = performance.now() < BONES_MS;
    setAttribute(this.bones, 'hidden', this.census.loaded || open || early ? '' : null);
  }

  async tellWhereToSend() {
    const stats = await ask('api/stats').catch(() => ({}));
    this.empty.draw(deviceDoor(stats));
  }

  /** One sensor is looked at, or what stands where one was. */
  get isInside() {
    return this.detail.isOpen || this.gone.id !== '';
  }

  /** Shows what the URL says. */
  follow() {
    const route = readRoute();
    const wasOpen = this.isInside;
    this.search.show(route.q);
    if (route.sensor !== this.remove.id) this.remove.close();
    if (route.sensor !== this.gone.id) this.gone.show('');
    if (this.gone.id !== '') {
      this.detail.close();
    } else if (route.sensor !== '') {
      if (!wasOpen) this.leftAt = scrollY;
      this.detail.open(route);
    } else if (wasOpen) {
      this.detail.close();
    }
    document.title = route.sensor === '' ? 'Streamgauge' : `${route.sensor} · Streamgauge`;
    this.drawAround();
    if (route.sensor !== '') {
      if (!wasOpen) scrollTo(0, 0);
      return;
    }
    this.overview.show(route.q, ['type', 'none'].includes(route.group) ? route.group : 'location');
    this.drawAround();
    // What came while another view was shown has been taken, but not drawn.
    if (wasOpen) this.overview.redraw();
    if (wasOpen) scrollTo(0, this.leftAt);
  }

  /** @param {string} query */
  onQuery(query) {
    if (this.isInside) goTo({ ...ALL_SENSORS, q: query });
    else amend({ q: query });
    const { hits } = this.overview;
    this.says.say(hits === 1 ? '1 sensor found' : `${hits} sensors found`, SAY_MS);
  }

  openFirst() {
    const { first } = this.overview;
    if (first && !this.detail.isOpen) goTo({ sensor: first.id, type: first.type });
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const typing = event.target instanceof HTMLInputElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === '/' && !typing) {
      event.preventDefault();
      this.search.focus();
    }
    if (event.key !== 'Escape') return;
    if (typing || !this.isInside) {
      if (!this.search.clear()) this.search.input.blur();
    } else if (!this.detail.leaveZoom()) {
      leaveSensor();
    }
  }

  /** Another theme or zone: everything again. */
  redraw() {
    this.overview.redraw();
    this.detail.rebuild();
    this.drawLink();
  }
}

new Page().start();

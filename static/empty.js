/** Before the first reading: where the server listens, and one command that works on it. */

import { h, setText, svg } from './dom.js';
import { clockTime } from './format.js';
import { glyph, icon } from './icons.js';

/**
 * The server's own listener for devices, as `api/stats` tells of it; null: there is none, or the
 * server does not say.
 * @typedef {{port: number, username: string | null} | null} DeviceDoor
 */

/** @param {Record<string, unknown>} stats the answer of `api/stats` @returns {DeviceDoor} */
export function deviceDoor(stats) {
  const said = stats.listener;
  if (typeof said !== 'object' || said === null) return null;
  const { port, username } = /** @type {Record<string, unknown>} */ (said);
  if (typeof port !== 'number') return null;
  return { port, username: typeof username === 'string' ? username : null };
}

/** @param {DeviceDoor} door @param {string} host as the browser names the server */
export function publishCommand(door, host) {
  const name = host.replace(/^\[(.*)\]$/, '$1');
  const to = door ? ` -h ${name} -p ${door.port}` : '';
  const as = door?.username ? ` -u ${door.username} -P PASSWORD` : '';
  return `mosquitto_pub${to}${as} -q 1 \\\n  -t sensors/kitchen/temperature \\\n`
    + `  -m '{"value":21.5,"unit":"°C"}'`;
}

/** As above, for the simulator of a second process: this one's ports and directory are taken. */
export function simulateCommand(/** @type {DeviceDoor} */ door, /** @type {string} */ host) {
  const as = door?.username ? `MQTT_USERNAME=${door.username} MQTT_PASSWORD=PASSWORD \\\n  ` : '';
  return `${as}streamgauge simulate${door ? ` --to ${host}:${door.port}` : ''}`;
}

export class Empty {
  constructor() {
    this.where = h('p', { class: 'lead' });
    this.publish = command('publish', publishCommand(null, location.hostname));
    this.simulate = command('simulate', simulateCommand(null, location.hostname));
    this.password = h('p', { hidden: true },
      'The server printed the password when it first started.');
    const since = `Nothing received since ${clockTime(Date.now())}`;
    this.element = h('div', { class: 'empty', hidden: true, 'data-role': 'empty' }, river(),
      h('div', {},
        h('h1', {}, 'Waiting for the first reading'), this.where,
        h('section', {}, h('h2', {}, 'Send one reading'),
          h('p', {}, 'From a terminal on this machine:'), this.publish.element, this.password),
        h('section', {}, h('h2', {}, 'Or look around first'),
          h('p', {}, 'Twelve simulated sensors, over real MQTT:'),
          this.simulate.element),
        h('section', {}, h('h2', {}, 'Or connect the broker you have'),
          h('p', {}, 'Streamgauge subscribes to it and leaves it as it is:'),
          command('broker', 'MQTT_BROKER_HOST=broker.local streamgauge').element),
        h('section', { class: 'waiting' }, glyph('unknown'), h('span', {}, since))));
    this.draw(null);
  }

  /** @param {DeviceDoor} door */
  draw(door) {
    const host = location.hostname;
    const port = door ? `Listening for MQTT on port ${door.port}. ` : '';
    setText(this.where, `${port}This page changes by itself.`);
    setText(this.publish.code, publishCommand(door, host));
    setText(this.simulate.code, simulateCommand(door, host));
    this.password.hidden = !door?.username;
  }
}

/** @param {string} name @param {string} text */
function command(name, text) {
  const code = h('code', { 'data-role': `command-${name}` }, text);
  const word = h('span', { class: 'wide' }, 'Copy');
  const button = h('button', { class: 'button', type: 'button', 'aria-label': 'Copy the command' },
    icon('copy'), word);
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(code.textContent ?? '');
      button.replaceChildren(icon('check'), word);
      setText(word, 'Copied');
    } catch {
      // Browsers lend the clipboard to safe origins only; a marked text is one key away from it.
      getSelection()?.selectAllChildren(code);
    }
  });
  return { code, element: h('div', { class: 'command' }, code, button) };
}

/** A gauge in still water. */
function river() {
  const marks = Array.from({ length: 29 }, (_, i) => `M72 ${8 + i * 12}h${i % 5 ? 12 : 26}`);
  const waves = [0, 1, 2].map((k) => {
    const d = `M${8 + k * 8} ${372 + k * 13}q8-9 16 0${' t16 0'.repeat(7 - k)}`;
    return svg('path', { class: `water wave-${k}`, d });
  });
  return svg('svg', { class: 'river', viewBox: '0 0 144 420', 'aria-hidden': 'true' },
    svg('path', { d: `M72 8V352${marks.join('')}` }), ...waves);
}

/**
 * The answers to questions for history, as the server gives them: readings or windows, thinned to
 * `points` with every peak kept, percentiles as far as readings are kept, CSV.
 */

const WINDOW_MS = new Map([['1m', 60_000], ['1h', 3_600_000]]);
const POINTS_LEAST = 2;
const POINTS_MOST = 10_000;
const LIMIT = 100_000;

/** An answer that is an error: its status and its words. */
export class Refusal extends Error {
  constructor(status, said) {
    super(said);
    this.status = status;
  }
}

/**
 * @param {{id: string, lists: object[][], kept: Map<string, number>}} stored readings of each type
 *   in order of time, and how far back each resolution is kept, in ms
 * @param {URLSearchParams} asked
 * @returns {{rows: object[], resolution: string, percentiles: object | undefined}}
 */
export function answerOf({ lists, kept }, asked) {
  const now = Date.now();
  const hours = Number(asked.get('hours') ?? 24);
  const from = asked.has('from') ? Date.parse(asked.get('from')) : now - hours * 3_600_000;
  const to = asked.has('to') ? Date.parse(asked.get('to')) : Infinity;
  if (!(from < to)) throw new Refusal(400, `\`from\` is ${asked.get('from')}, not before \`to\``);
  if (asked.has('hours') && asked.has('from')) throw new Refusal(400, 'hours and from exclude');
  const points = asked.has('points') ? Number(asked.get('points')) : null;
  if (points !== null && !(points >= POINTS_LEAST && points <= POINTS_MOST)) {
    throw new Refusal(400, `\`points\` is ${points}; allowed: ${POINTS_LEAST} to ${POINTS_MOST}`);
  }
  const wanted = asked.get('resolution') ?? (points === null ? 'raw' : 'auto');
  const reach = (name) => now - (kept.get(name) ?? Infinity);
  const names = ['raw', '1m', '1h'];
  const resolution = wanted !== 'auto' ? wanted
    : names.find((name) => oldest(lists) >= reach(name) || from >= reach(name)) ?? '1h';
  const rows = lists.flatMap((list) => {
    const there = list.filter((one) => Date.parse(one.timestamp) >= reach(resolution));
    const all = resolution === 'raw' ? there : windowsOf(there, WINDOW_MS.get(resolution));
    return all.filter((one) => Date.parse(one.timestamp) >= from && Date.parse(one.timestamp) < to);
  });
  const percentiles = percentilesOf(lists, { asked, from, to, earliest: reach('raw') });
  const shown = points === null ? rows.slice(0, LIMIT) : thinned(rows, points);
  return { rows: shown, resolution, percentiles };
}

const oldest = (lists) => Math.min(...lists.map((list) => Date.parse(list[0].timestamp)));

function windowsOf(readings, length) {
  const windows = new Map();
  for (const { position: _, uncounted: __, ...one } of readings) {
    const start = Math.floor(Date.parse(one.timestamp) / length) * length;
    const window = windows.get(start) ?? {
      ...one, timestamp: new Date(start).toISOString(), value: 0, min: Infinity, max: -Infinity,
      count: 0,
    };
    window.count += 1;
    window.value += (one.value - window.value) / window.count;
    window.min = Math.min(window.min, one.value);
    window.max = Math.max(window.max, one.value);
    windows.set(start, window);
  }
  return [...windows.values()];
}

/**
 * The lowest and the highest row of equal stretches of the time that has rows, and the first and
 * the last of all.
 */
function thinned(rows, points) {
  if (rows.length <= points) return rows;
  const stretches = Math.floor((points - 2) / 2);
  const [begin, end] = [rows[0], rows.at(-1)].map((row) => Date.parse(row.timestamp));
  const kept = new Map();
  for (const row of stretches === 0 ? [] : rows) {
    const after = Date.parse(row.timestamp) - begin;
    const stretch = Math.floor((after * stretches) / (end - begin + 1));
    const [low, high] = kept.get(stretch) ?? [row, row];
    kept.set(stretch, [
      (row.min ?? row.value) < (low.min ?? low.value) ? row : low,
      (row.max ?? row.value) > (high.max ?? high.value) ? row : high,
    ]);
  }
  const shown = new Set([rows[0], ...[...kept.values()].flat(), rows.at(-1)]);
  return rows.filter((row) => shown.has(row));
}

function percentilesOf(lists, { asked, from, to, earliest }) {
  if (!asked.has('percentiles')) return undefined;
  if (from < earliest && oldest(lists) < earliest) {
    const possible = new Date(earliest).toISOString();
    throw new Refusal(400, `parameter \`percentiles\`: readings are kept since ${possible}`);
  }
  return Object.fromEntries(lists.map((list) => {
    const values = list.filter(({ timestamp }) => Date.parse(timestamp) >= from
      && Date.parse(timestamp) < to).map(({ value }) => value).sort((a, b) => a - b);
    // Straight between two readings: Hyndman and Fan, "Sample Quantiles", 1996, definition 7.
    const at = (percent) => {
      const place = (percent / 100) * (values.length - 1);
      const [low, high] = [values[Math.floor(place)], values[Math.ceil(place)]];
      return low + (high - low) * (place % 1);
    };
    const wanted = values.length === 0 ? [] : asked.get('percentiles').split(',');
    return [list[0].sensor_type,
      Object.fromEntries(wanted.map((percent) => [percent, at(Number(percent))]))];
  }));
}

/** @param {object[]} rows @param {string} resolution */
export function csvOf(rows, resolution) {
  const columns = ['timestamp', 'sensor_id', 'sensor_type', 'value', 'unit', 'location'];
  if (resolution !== 'raw') columns.push('min', 'max', 'count');
  const cell = (it) => (/[",\r\n]/.test(it) ? `"${String(it).replaceAll('"', '""')}"` : it ?? '');
  const lines = rows.map((row) => columns.map((name) => cell(row[name])).join(','));
  return `${[columns.join(','), ...lines].join('\r\n')}\r\n`;
}

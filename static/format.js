/**
 * Numbers, ages and times as text, by the browser's locale; times in its zone or in UTC.
 * Minus is U+2212; between a number and its unit stands U+202F, before a degree sign nothing.
 */

const THIN_SPACE = '\u202f';
const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;

/** @type {Map<string, Intl.NumberFormat>} */
const numberFormats = new Map();
/** @type {Map<string, Intl.DateTimeFormat>} */
const timeFormats = new Map();
let utc = false;

/** Whether every time on the page is UTC. */
export const isUtc = () => utc;
/** @param {boolean} on */
export function useUtc(on) {
  utc = on;
}

/** @param {string} text */
const trueMinus = (text) => text.replace('-', '\u2212');

/**
 * @param {number} value
 * @param {number} decimals shown always, so that columns align
 */
export function number(value, decimals) {
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return powerOfTen(value);
  const key = String(decimals);
  let format = numberFormats.get(key);
  if (!format) {
    const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    format = new Intl.NumberFormat(undefined, options);
    numberFormats.set(key, format);
  }
  const text = format.format(value);
  return trueMinus(/[1-9]/.test(text) ? text : text.replace('-', ''));
}

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/** Three digits and a power of ten. @param {number} value */
function powerOfTen(value) {
  const [digits = '', power = '0'] = value.toExponential(2).split('e');
  const raised = [...String(Math.abs(Number(power)))].map((d) => SUPERSCRIPTS[Number(d)]).join('');
  const mantissa = Number(digits).toLocaleString(undefined, { minimumFractionDigits: 2 });
  return trueMinus(`${mantissa} × 10${Number(power) < 0 ? '⁻' : ''}${raised}`);
}

/** A whole number in full. @param {number} value */
export const exact = (value) => trueMinus(value.toLocaleString(undefined, DIGITS_0));
const DIGITS_0 = { maximumFractionDigits: 0 };

/** A count for a card: exact below 10,000. @param {number} count */
export function compact(count) {
  if (count < 1e4) return exact(count);
  /** @type {[number, string]} */
  const [unit, mark] = count < 999_500 ? [1e3, 'k'] : count < 999.5e6 ? [1e6, 'M'] : [1e9, 'G'];
  const scaled = count / unit;
  const digits = { minimumFractionDigits: scaled < 99.95 ? 1 : 0, maximumFractionDigits: 1 };
  const text = scaled < 99.95 ? scaled.toLocaleString(undefined, digits) : exact(scaled);
  return text + THIN_SPACE + mark;
}

/** @param {number} perSecond */
export function rate(perSecond) {
  if (perSecond <= 0) return `0/s`;
  if (perSecond >= 1e4) return `${compact(perSecond)}/s`;
  if (perSecond >= 0.95) return `${number(perSecond, perSecond < 9.95 ? 1 : 0)}/s`;
  if (perSecond * MINUTE_S >= 0.95) return `${exact(perSecond * MINUTE_S)}/min`;
  return `${exact(Math.max(1, perSecond * HOUR_S))}/h`;
}

/** @param {number} seconds since something happened */
export function age(seconds) {
  if (seconds < 1.5) return 'now';
  return duration(seconds);
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < MINUTE_S) return `${Math.min(59, Math.round(seconds))}${THIN_SPACE}s`;
  const whole = Math.floor(seconds);
  if (whole < HOUR_S) return `${Math.floor(whole / MINUTE_S)}${THIN_SPACE}min`;
  if (whole >= DAY_S) return `${exact(Math.floor(whole / DAY_S))}${THIN_SPACE}d`;
  const minutes = Math.floor((whole % HOUR_S) / MINUTE_S);
  const hours = `${Math.floor(whole / HOUR_S)}${THIN_SPACE}h`;
  return minutes > 0 ? `${hours} ${minutes}${THIN_SPACE}min` : hours;
}

/** @param {string} value @param {string} unit */
export function withUnit(value, unit) {
  if (unit === '') return value;
  return value + (unit === '°' ? '' : THIN_SPACE) + unit;
}

/**
 * @param {number} t ms since 1970
 * @param {Intl.DateTimeFormatOptions} parts
 */
function time(t, parts) {
  const key = JSON.stringify(parts) + utc;
  let format = timeFormats.get(key);
  if (!format) {
    const zone = utc ? { timeZone: 'UTC' } : {};
    format = new Intl.DateTimeFormat(undefined, { hourCycle: 'h23', ...zone, ...parts });
    timeFormats.set(key, format);
  }
  return format.format(t);
}

/** @type {Intl.DateTimeFormatOptions} */
const HOUR_MINUTE = { hour: '2-digit', minute: '2-digit' };
/** @type {Intl.DateTimeFormatOptions} */
const TO_SECOND = { ...HOUR_MINUTE, second: '2-digit' };
/** @type {Intl.DateTimeFormatOptions} */
const DAY = { day: 'numeric', month: 'short' };

/** 14:03 @param {number} t */
export const hourMinute = (t) => time(t, HOUR_MINUTE);
/** 14:03:22 @param {number} t */
export const clockTime = (t) => time(t, TO_SECOND);
/** Tue 16 @param {number} t */
export const weekday = (t) => time(t, { weekday: 'short', day: 'numeric' });
/** 16 Jun @param {number} t */
export const dayOf = (t) => time(t, DAY);
/** 16 Jun 2026 @param {number} t */
export const dayOfYear = (t) => time(t, { ...DAY, year: 'numeric' });
/** Jun @param {number} t */
export const monthOf = (t) => time(t, { month: 'short' });
/** 2026 @param {number} t */
export const yearOf = (t) => time(t, { year: 'numeric' });
/** Mon 15 Jun @param {number} t */
export const dayInWeek = (t) => time(t, { ...DAY, weekday: 'short' });
/** Mon 15 Jun 2026 @param {number} t */
export const dayInYear = (t) => time(t, { ...DAY, weekday: 'short', year: 'numeric' });
/** @type {Intl.DateTimeFormatOptions} */
const DATE = { year: 'numeric', month: 'numeric', day: 'numeric' };
/** Whether two moments share a day as shown. @param {number} a @param {number} b */
export const sameDay = (a, b) => time(a, DATE) === time(b, DATE);

/** When the day of `t` began, as days are shown. @param {number} t */
export function midnight(t) {
  const day = new Date(t);
  return utc ? day.setUTCHours(0, 0, 0, 0) : day.setHours(0, 0, 0, 0);
}

/** 14:03:22, with the day when it is not today. @param {number} t @param {number} now */
export function moment(t, now) {
  if (sameDay(t, now)) return clockTime(t);
  const day = yearOf(t) === yearOf(now) ? dayOf(t) : dayOfYear(t);
  return `${day}, ${clockTime(t)}`;
}

/** 14:03:22.310, with the day when it is not today. @param {number} t @param {number} now */
export function momentToMs(t, now) {
  const ms = String(Math.floor(((t % 1000) + 1000) % 1000)).padStart(3, '0');
  return `${moment(t, now)}.${ms}`;
}

/** Decimals a value was sent with, at most 4. @param {number} value */
export function decimalsOf(value) {
  if (Math.abs(value) >= 1e6) return 0;
  const fraction = value.toFixed(4).replace(/0+$/, '').split('.')[1];
  return fraction ? fraction.length : 0;
}

// Numbers and times as people read them. What is not known is a dash.

export const DASH = '–';

export function number(value, digits = 0) {
  return value == null
    ? DASH
    : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// As many digits as say something: 0.42, 3.4, 128.
export function brief(value) {
  return value == null ? DASH : number(value, value === 0 || value >= 100 ? 0 : value >= 10 ? 0 : value >= 1 ? 1 : 2);
}

export function percent(value) {
  return value == null ? DASH : `${brief(value)} %`;
}

export function ms(value) {
  return value == null ? DASH : `${brief(value)} ms`;
}

export function bytes(value) {
  if (value == null) return DASH;
  const step = value < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10));
  return `${number(value / 1024 ** step, step && value / 1024 ** step < 10 ? 1 : 0)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][step]}`;
}

export function bits(perSecond) {
  if (perSecond == null) return DASH;
  return perSecond < 1000 ? `${number(perSecond)} bit/s` : `${brief(perSecond / 1000)} kbit/s`;
}

export function duration(seconds) {
  if (seconds == null) return DASH;
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  const two = (value) => String(value).padStart(2, '0');
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export function clockTime(at) {
  return at ? new Date(at).toLocaleTimeString('en-GB') : DASH;
}

export function dateTime(at) {
  return at ? new Date(at).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' }) : DASH;
}

// A day in UTC, as `2026-01-31` or a time.
export function day(at) {
  return new Date(at).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });
}

// `2026-01` as a month.
export function month(at) {
  return new Date(`${at}-01`).toLocaleDateString('en-GB', { month: 'long', year: 'numeric', timeZone: 'UTC' });
}

// What an axis has room for: 950, 12K, 1.5M.
export function short(value) {
  return value.toLocaleString('en', { notation: 'compact', maximumFractionDigits: 1 });
}

export function ago(at) {
  if (!at) return DASH;
  const seconds = Math.max(0, (Date.now() - Date.parse(at)) / 1000);
  return seconds < 60 ? `${number(seconds, seconds < 10 ? 1 : 0)} s ago` : `${duration(seconds)} ago`;
}

// An estimate of ITU-T G.107 in one word; the steps are those of its Annex B.
export function quality(mos) {
  if (mos == null) return { word: 'not measured', rank: 'none' };
  if (mos >= 4.03) return { word: 'good', rank: 'good' };
  if (mos >= 3.6) return { word: 'fair', rank: 'warn' };
  return { word: 'poor', rank: 'bad' };
}

// `one_way_audio` and `iceState` as words.
export function words(name) {
  const text = name
    .replaceAll('_', ' ')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase();
  return text[0].toUpperCase() + text.slice(1);
}

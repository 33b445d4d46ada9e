// Numbers and times as people read them.

const THIN = "\u2009";

export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return `${trimmed(value / 1e6, digits)}${THIN}M`;
  if (size >= 1e4) return `${trimmed(value / 1e3, digits)}${THIN}k`;
  if (size < 1e-3) return value.toExponential(1);
  return trimmed(value, digits);
}

const trimmed = (value, digits) => String(Number(value.toPrecision(digits)));

export const whole = (value) =>
  value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en").replaceAll(",", THIN);

export function percent(share, digits = 2) {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  if (share === 0) return `0${THIN}%`;
  if (share < 1e-4) return `<0.01${THIN}%`;
  return `${trimmed(share * 100, digits)}${THIN}%`;
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  return value >= 1000
    ? `${trimmed(value / 1000, 3)}${THIN}s`
    : `${trimmed(value, value < 1 ? 2 : 3)}${THIN}ms`;
}

export function bytes(value) {
  if (!value) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${trimmed(value / 1000 ** power, 3)}${THIN}${units[power]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return "now";
  if (seconds < 90) return `${Math.round(seconds)}${THIN}s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)}${THIN}min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)}${THIN}h`;
  return `${Math.round(seconds / 86400)}${THIN}d`;
}

export const date = (us) => new Date(us / 1000);

const twoDigits = (value) => String(value).padStart(2, "0");

// The time of day, with the day where it is not today.
export function clock(us, nowUs = Date.now() * 1000) {
  if (!us) return "–";
  const then = date(us);
  const time = `${twoDigits(then.getHours())}:${twoDigits(then.getMinutes())}`;
  if (then.toDateString() === date(nowUs).toDateString()) return time;
  return `${then.getFullYear()}-${twoDigits(then.getMonth() + 1)}-${twoDigits(then.getDate())} ${time}`;
}

export const words = (name) => name.replaceAll("_", " ");

// How are numbers and times written? Few digits, one unit, UTC as in events and logs; an absent number is "–", never 0.

export const NONE = "–";

export function number(value, digits = 3) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toPrecision(digits)} M`;
  if (size >= 1e4) return whole(Math.round(value));
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits }).replace("-", "−");
}

/** Thin spaces between thousands. */
export function whole(value) {
  return value === null || value === undefined ? NONE : Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
}

export function percent(share, digits = 2) {
  if (share === null || share === undefined) return NONE;
  return `${share === 0 ? "0" : number(100 * share, digits)} %`;
}

/** An effect in a cell: two decimals, three digits at most. */
export function effect(value) {
  if (value < 0.005) return "0";
  return value < 1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : value.toFixed(0);
}

export function interval(low, high, digits = 3) {
  return low === null || low === undefined ? NONE : `${number(low, digits)} to ${number(high, digits)}`;
}

export function bytes(n) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) if (n >= size) return `${number(n / size)} ${unit}`;
  return `${n} B`;
}

/** A length such as 90 s, 5 min, 1.5 h, 3 d. */
export function length(seconds) {
  for (const [unit, size] of [["d", 86_400], ["h", 3600], ["min", 60]]) if (seconds >= size) return `${number(seconds / size, 2)} ${unit}`;
  return `${Math.round(seconds)} s`;
}

/** 14:03 UTC, with the day where it is another one than `now_s`'s. */
export function moment(at_s, now_s = Date.now() / 1000) {
  if (at_s === null || at_s === undefined || at_s <= 0) return NONE;
  const text = new Date(at_s * 1000).toISOString();
  const day = text.slice(0, 10);
  return `${day === new Date(now_s * 1000).toISOString().slice(0, 10) ? "" : `${day} `}${text.slice(11, 16)} UTC`;
}

export function sum(counts) {
  return Object.values(counts).reduce((all, one) => all + one, 0);
}

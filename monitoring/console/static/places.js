// Which model, version, column, window and range is looked at? What stands behind the # of the address, so that it can be sent to others.

export const RANGES = ["30m", "3h", "24h", "7d"];
const USUAL = "3h"; // a range that stands in no address
const OUTPUT = "output:"; // before the name of a column that is an output

/** Where the address points: `#model/version/column/window_s?last=range`, each part encoded, later ones may be absent. */
export function here() {
  const [path, asked = ""] = location.hash.slice(1).split("?");
  const [model = "", version = "", named = "", window = ""] = path.split("/").map(decoded);
  const output = named.startsWith(OUTPUT);
  return {
    model,
    version,
    column: output ? named.slice(OUTPUT.length) : named,
    side: output ? "output" : "feature",
    range: ranged(asked),
    window_s: /^\d+$/.test(window) ? Number(window) : undefined,
  };
}

export function link(model, version = "", column = "", side = "feature", window_s = undefined, range = here().range) {
  const named = column && side === "output" ? OUTPUT + column : column;
  const parts = [model, version, named, window_s === undefined ? "" : String(window_s)];
  const last = range === USUAL ? "" : `?last=${range}`;
  return `#${parts.map(encodeURIComponent).join("/").replace(/\/+$/, "")}${last}`;
}

function ranged(asked) {
  const last = new URLSearchParams(asked).get("last");
  return RANGES.includes(last) ? last : USUAL;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a link that somebody cut
  }
}

// Which model, version, column and window is looked at? What stands behind the # of the address, so that it can be sent to others.

const OUTPUT = "output:"; // before the name of a column that is an output

/** Where the address points: `#model/version/column/window_s`, each part encoded, later ones may be absent. */
export function here() {
  const [model = "", version = "", named = "", window = ""] = location.hash.slice(1).split("/").map(decoded);
  const output = named.startsWith(OUTPUT);
  return {
    model,
    version,
    column: output ? named.slice(OUTPUT.length) : named,
    side: output ? "output" : "feature",
    window_s: /^\d+$/.test(window) ? Number(window) : undefined,
  };
}

export function link(model, version = "", column = "", side = "feature", window_s = undefined) {
  const named = column && side === "output" ? OUTPUT + column : column;
  const parts = [model, version, named, window_s === undefined ? "" : String(window_s)];
  return `#${parts.map(encodeURIComponent).join("/").replace(/\/+$/, "")}`;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a link that somebody cut
  }
}

// Where does a version differ from training? Columns down, windows across, the number in every cell; a cell opens its histogram.

import { h, lazily } from "./dom.js";
import { effect, length, NONE, number } from "./figures.js";

const FILTER_FROM = 13;

/** What there is of a column in each window, and its skew; worst columns first. */
export function heatRows(heat, version) {
  const skew = new Map();
  for (const check of version.skew) {
    const at = `${check.side}|${check.column}`;
    skew.set(at, [...(skew.get(at) ?? []), check]);
  }
  const rows = heat.rows.map((row) => ({ ...row, skew: skew.get(`${row.side}|${row.column}`) ?? [] }));
  const named = new Set(rows.map((row) => `${row.side}|${row.column}`));
  for (const [at, found] of skew) {
    const [side, column] = at.split("|");
    if (!named.has(at)) rows.push({ side, column, kind: "", cells: [], skew: found });
  }
  for (const row of rows) {
    row.skew.sort((a, b) => weight(b.verdict, b.effect, b.tolerance) - weight(a.verdict, a.effect, a.tolerance));
    row.rank = Math.max(0, ...row.cells.map(([, verdict, found, , tolerance]) => weight(verdict, found, tolerance)), ...row.skew.slice(0, 1).map((one) => weight(one.verdict, one.effect, one.tolerance)));
  }
  return rows.sort((a, b) => b.rank - a.rank);
}

/** How much a check stands out: what drifted before all that did not. */
export function weight(verdict, found, tolerance) {
  return (verdict === "drifted" ? 1e6 : 0) + (found ?? 0) / (tolerance || 1);
}

/** Six shades; what drifted has a mark too. */
function shade(verdict, found, tolerance) {
  if (found === null || found === undefined) return "none";
  const times = found / (tolerance || 1);
  if (verdict === "drifted") return times > 20 ? "over-3" : times > 4 ? "over-2" : "over-1";
  return times < 0.25 ? "under-0" : times < 0.75 ? "under-1" : "under-2";
}

/** The map; `open(row, window_s)` is called for a cell; `chosen` is the one that is open. */
export function heatMap(heat, rows, chosen, open) {
  const shown = heat.windows_s.map((_, i) => i).filter((i) => rows.some((row) => row.cells[i]?.[2] !== null && row.cells[i] !== undefined));
  const windows = shown.length ? shown : heat.windows_s.map((_, i) => i).slice(0, 8);
  const skewed = rows.some((row) => row.skew.length);
  const head = h("tr", {}, h("th", { scope: "col", class: "corner" }, "Column"), skewed ? h("th", { scope: "col", class: "skew" }, "worst") : null, windows.map((i) => h("th", { scope: "col" }, length(heat.windows_s[i]).replace(" ", "\u202f"))));
  const over = h("tr", { class: "over" }, h("td", {}), skewed ? h("th", { scope: "col", class: "skew" }, "skew, % of rows") : null, h("th", { scope: "colgroup", colspan: windows.length }, "drift in PSI, by window"));
  const body = h("tbody");
  const line = (row) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", title: row.column }, h("span", {}, row.column || "(whole request)"), row.side === "feature" ? null : h("small", {}, row.side)),
      skewed ? skewCell(row, open) : null,
      windows.map((i) => driftCell(row, row.cells[i], heat.windows_s[i], chosen, open)),
    );
  const scroller = h("div", { class: "heat-scroll", role: "region", "aria-label": "Drift by column and window", tabindex: "-1" });
  const table = h("table", { class: "heat", role: "grid", "aria-rowcount": rows.length + 2, onkeydown: walk }, h("thead", {}, over, head), body);
  scroller.append(table);
  lazily(body, rows, line, 30);
  (body.querySelector("td[aria-selected=true]") ?? body.querySelector("td"))?.setAttribute("tabindex", "0");
  const hidden = heat.windows_s.filter((_, i) => !windows.includes(i));
  return [scroller, hidden.length ? h("p", { class: "note" }, `Too few rows to be judged: windows of ${hidden.map(length).join(", ")}.`) : null, legend()];
}

function driftCell(row, cell, window_s, chosen, open) {
  if (!cell) return h("td", { class: "none", tabindex: "-1" }, "");
  const [n, verdict, found, low, tolerance] = cell;
  const bare = found === null || found === undefined;
  const said = bare
    ? `${row.column}, ${length(window_s)}: ${verdict.replaceAll("_", " ")}, ${n} rows`
    : `${row.column}, ${length(window_s)}: ${verdict}, PSI ${number(found)}, at least ${number(low)}, ${number(tolerance)} tolerated, ${n} rows`;
  const selected = chosen && chosen.side === row.side && chosen.column === row.column && chosen.window_s === window_s;
  return h(
    "td",
    { class: shade(verdict, found, tolerance), tabindex: "-1", "aria-label": said, title: said, "aria-selected": selected ? "true" : null, onclick: () => open(row, window_s), onkeydown: pressed(() => open(row, window_s)) },
    verdict === "drifted" ? h("b", { "aria-hidden": "true" }, "▲") : null,
    bare ? NONE : effect(found),
  );
}

/** The check of a column that stands out most; its title says them all, and it opens the window that tells most. */
function skewCell(row, open) {
  const { column, skew } = row;
  const [first] = skew;
  if (!first) return h("td", { class: "none skew", tabindex: "-1" }, "");
  const said = skew.map((one) => `${column || "request"}: ${one.check.replaceAll("_", " ")}${one.what ? ` of ${one.what}` : ""}, ${one.verdict.replaceAll("_", " ")}, ${number(100 * (one.effect ?? 0))} % of ${one.n} rows in ${length(one.window_s)}, ${number(100 * (one.tolerance ?? 0))} % tolerated`).join("\n");
  const act = () => row.cells.length && open(row, undefined);
  const mark = first.verdict === "drifted" ? h("b", { "aria-hidden": "true" }, "▲") : null;
  const found = first.effect === undefined ? NONE : number(100 * first.effect, 2);
  return h("td", { class: `skew ${shade(first.verdict, first.effect, first.tolerance)}`, tabindex: "-1", "aria-label": said, title: said, onclick: act, onkeydown: pressed(act) }, h("span", {}, h("small", {}, first.check.replaceAll("_", " ")), h("span", {}, mark, found)));
}

function pressed(act) {
  return (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  };
}

/** Arrows, Home and End go from cell to cell; one cell of the map can be tabbed to. */
function walk(event) {
  const cell = event.target.closest("td");
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -1e4], End: [0, 1e4] };
  const step = steps[event.key];
  if (!cell || !step) return;
  event.preventDefault();
  const cells = [...cell.parentElement.querySelectorAll("td")];
  const x = Math.max(0, Math.min(cells.length - 1, cells.indexOf(cell) + step[1]));
  const row = step[0] === 0 ? cell.parentElement : step[0] < 0 ? cell.parentElement.previousElementSibling : cell.parentElement.nextElementSibling;
  const next = row?.querySelectorAll("td")[x];
  if (!next) return;
  cell.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
}

function legend() {
  const kinds = [["under-0", "far below"], ["under-1", "below"], ["under-2", "near or above what is tolerated, not shown to be drift"], ["over-1", "▲ drifted"], ["over-2", "▲ > 4 ×"], ["over-3", "▲ > 20 × what is tolerated"], ["none", "– too few rows"]];
  return h("ul", { class: "legend", "aria-label": "Legend" }, kinds.map(([kind, text]) => h("li", {}, h("i", { class: kind, "aria-hidden": "true" }), text)));
}

export { FILTER_FROM };

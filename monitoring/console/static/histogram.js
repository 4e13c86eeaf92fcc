// What did a column hold at training, and what does it hold now? Both shares of rows by bin, as a chart and as numbers.

import { chart, end } from "./charts.js";
import { h, pill } from "./dom.js";
import { interval, length, moment, number, percent, whole } from "./figures.js";
import uPlot from "./vendor/uplot/uPlot.esm.js";

const BARS_MAX = 24; // more cannot be told apart; the rest is one bar
const WORDS = { drifted: ["bad", "Drifted"], stable: ["good", "Fits training"], too_few_samples: ["unknown", "Too few rows"], no_baseline: ["unknown", "No training data"] };
const SPECIAL = { absent: "absent", null: "null", nan: "NaN", neg_inf: "−∞", pos_inf: "+∞", below: "below training", above: "above training", unseen: "not in training", wrong_type: "another type" };

/** The panel of one column of a picture (`GET /api/drift`). */
export function histogram(picture, column) {
  const bins = binned(column);
  end("histogram");
  const drawn = h("div", { class: "chart", role: "img", "aria-label": `Reference against now of ${column.column}: the numbers stand below` });
  return [
    h("div", { class: "title" }, h("h3", {}, h("code", {}, column.column), " reference against now"), pill(...(WORDS[column.verdict] ?? ["unknown", column.verdict]))),
    h("p", { class: "note" }, `${whole(column.n)} rows of ${length(picture.window_s)}, ${moment(picture.from_s)} to ${moment(picture.to_s)}`),
    h("p", { class: "key" }, h("span", {}, h("i", { class: "ref" }), "reference (training)"), h("span", {}, h("i", { class: "now" }), "now")),
    chart("histogram", drawn, (element) => [options(element, bins), [bins.map((_, i) => i), bins.map((one) => 100 * one.ref), bins.map((one) => 100 * one.now)]]),
    measures(column),
    h("details", { id: "bins" }, h("summary", {}, "Numbers of each bin"), numbers(bins)),
  ];
}

function binned({ labels, baseline, window, kind }) {
  const total = (counts) => counts.reduce((all, one) => all + one, 0) || 1;
  const [ref, now] = [total(baseline), total(window)];
  const bins = labels.map((label, i) => ({ label: readable(label), ref: baseline[i] / ref, now: window[i] / now, rows: window[i], place: PLACES[label] ?? 1 }));
  if (kind !== "string") bins.sort((a, b) => a.place - b.place); // stable: bins stay in order
  if (bins.length <= BARS_MAX) return bins;
  const kept = new Set([...bins].sort((a, b) => Math.max(b.ref, b.now) - Math.max(a.ref, a.now)).slice(0, BARS_MAX - 1));
  const rest = bins.filter((one) => !kept.has(one));
  const sum = (name) => rest.reduce((all, one) => all + one[name], 0);
  const last = { label: `${rest.length} others`, ref: sum("ref"), now: sum("now"), rows: sum("rows") };
  return [...bins.filter((one) => kept.has(one)), last];
}

const PLACES = { below: 0, above: 2, neg_inf: 3, pos_inf: 3, nan: 3, null: 3, absent: 3, unseen: 3, wrong_type: 3 }; // of numbers; bins between have 1

/** [-0.84, 0.12) as −0.84 … 0.12, specials by a word. */
function readable(label) {
  const range = /^\[(.+), (.+)\)$/.exec(label);
  if (!range) return SPECIAL[label] ?? label;
  const [low, high] = range.slice(1).map((one) => (Number.isFinite(Number(one)) ? number(Number(one)) : one.replace("-", "−").replace("inf", "∞")));
  return `${low} … ${high}`;
}

function measures({ effects, tolerance_psi: tolerance, p_value: p }) {
  if (!effects) return h("p", { class: "empty" }, "Too few rows in this window to say how far apart both are.");
  const line = (name, [estimate, low, high], what) => h("div", {}, h("dt", {}, name), h("dd", {}, h("span", { class: "value" }, number(estimate)), h("span", { class: "note" }, `95 %: ${interval(low, high)}`), what ? h("span", { class: "note" }, what) : null));
  return h(
    "dl",
    { class: "measures" },
    line("PSI", effects.psi, `${number(tolerance)} tolerated`),
    line("Rows that moved", effects.total_variation, "total variation"),
    line("Jensen–Shannon", effects.jensen_shannon, "distance, 0 to 1"),
    effects.wasserstein_sigma ? line("Wasserstein", effects.wasserstein_sigma, "in σ of training") : null,
    h("div", {}, h("dt", {}, "p-value"), h("dd", {}, h("span", { class: "value" }, p < 1e-12 ? "< 10⁻¹²" : number(p, 2)), h("span", { class: "note" }, "of so much by chance alone"))),
  );
}

function numbers(bins) {
  const most = Math.max(...bins.map((one) => Math.max(one.ref, one.now)), 1e-9);
  const bar = (kind, share) => h("td", { class: "bar-cell" }, h("i", { class: kind, "aria-hidden": "true", vars: { "--share": share / most } }), h("span", {}, percent(share, 3)));
  const lines = bins.map((one) => h("tr", {}, h("th", { scope: "row" }, one.label), bar("ref", one.ref), bar("now", one.now), h("td", { class: "n" }, whole(one.rows))));
  return h("table", { class: "bins" }, h("thead", {}, h("tr", {}, ["Bin", "Reference", "Now", "Rows"].map((head) => h("th", { scope: "col", class: head === "Rows" ? "n" : null }, head)))), h("tbody", {}, lines));
}

function options(element, bins) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  const size = Number.parseFloat(style.fontSize);
  const font = `${Math.round(size * 0.78)}px ${style.fontFamily}`;
  const bars = (align) => uPlot.paths.bars({ size: [0.4, size * 4], align });
  const axis = { stroke: colour("--text-2"), font, ticks: { show: false } };
  const longest = Math.max(...bins.map((one) => one.label.length));
  const tight = bins.length * longest * size * 0.5 > element.clientWidth - 60;
  return {
    width: element.clientWidth,
    height: Math.round(size * (tight ? 19 : 15)),
    legend: { show: false },
    cursor: { show: false },
    padding: [size * 0.6, size * 0.4, 0, 0],
    scales: { x: { time: false, range: [-0.6, bins.length - 0.4] }, y: { range: (_, __, high) => [0, Math.max(high * 1.08, 1)] } },
    axes: [
      { ...axis, grid: { show: false }, splits: () => bins.map((_, i) => i), values: () => bins.map((one) => one.label), rotate: tight ? 48 : 0, size: tight ? Math.min(longest, 16) * size * 0.46 + size : size * 2 },
      { ...axis, grid: { stroke: colour("--line"), width: 1 }, values: (_, splits) => splits.map((one) => `${one} %`), size: size * 3.4 },
    ],
    series: [{}, { fill: colour("--ref"), stroke: colour("--ref"), width: 0, paths: bars(-1), points: { show: false } }, { fill: colour("--now"), stroke: colour("--now"), width: 0, paths: bars(1), points: { show: false } }],
  };
}

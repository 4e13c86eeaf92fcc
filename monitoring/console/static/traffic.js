// How did traffic go? Requests, errors and latency over a range that stands in the address, of a model's versions or of all models.

import { ask } from "./api.js";
import { chart as charted, end } from "./charts.js";
import { h, show } from "./dom.js";
import { moment, NONE, number, percent } from "./figures.js";
import { here, link, RANGES } from "./places.js";
import uPlot from "./vendor/uplot/uPlot.esm.js";

const AGAIN_MS = 10_000; // minutes close once a minute
const WORDS = { "30m": "30 min", "3h": "3 h", "24h": "24 h", "7d": "7 days" };
const DASHES = { p50: [2, 4], p95: [8, 5], p99: [] };
let held = { about: "", at_ms: 0, chart: null, problem: "" };
let asking = "";

/** Shows the charts of `place`, asking again where range or model changed, or what is held is old. */
export async function showTraffic(section, place) {
  const about = subject(place);
  if (asking === about) return;
  if (held.about !== about || Date.now() - held.at_ms > AGAIN_MS) {
    asking = about;
    const chart = await ask("series", { model: place.model || undefined, range: place.range }).catch((error) => ({ problem: error.message }));
    if (asking !== about) return; // somewhere else by now
    asking = "";
    if (subject(here()) !== about) return; // and back where the answer was held already
    held = { about, at_ms: Date.now(), chart: chart.problem ? null : chart, problem: chart.problem ?? "" };
  }
  paint(section, here());
}

function subject({ model, range }) {
  return `${model}|${range}`;
}

function paint(section, place) {
  const { chart, problem } = held;
  show(section, [held.about, chart, problem, place], () => {
    end("traffic");
    const title = h("div", { class: "title" }, h("h2", { id: "traffic-title" }, "Traffic"), place.model ? h("span", {}, h("span", { class: "model" }, place.model)) : h("span", { class: "note" }, "all models"), ranges(place));
    if (!chart) return [title, h("p", { class: "problem" }, problem)];
    if (!chart.lines.length) return [title, h("p", { class: "empty" }, `No request in the last ${WORDS[place.range]}.`)];
    const left = chart.left_out ? ` The ${chart.left_out} with fewer requests are not drawn.` : "";
    return [
      title,
      h("div", { class: "charts" }, figure("Requests a second", rates(chart), chart), figure("Errors, % of requests", errors(chart), chart), figure("Latency, ms", latencies(chart), chart, h("span", { class: "note" }, "p99 ──  p95 ─ ─  p50 ···"))),
      legend(chart),
      h("p", { class: "note" }, `Up to ${moment(chart.until_s)}, a point each ${chart.step_s >= 3600 ? "hour" : `${chart.step_s / 60} min`}; held from ${moment(chart.since_s)} on.${left}`),
    ];
  });
}

function ranges(place) {
  return h("nav", { class: "ranges", "aria-label": "Range" }, RANGES.map((range) => h("a", { id: `range-${range}`, href: link(place.model, place.version, place.column, place.side, place.window_s, range), "aria-current": range === place.range ? "true" : null }, WORDS[range])));
}

function milliseconds(value) {
  return value === null ? NONE : `${number(value)} ms`;
}

function named(line) {
  return line.version ? `${line.version} ${line.arm}` : line.model;
}

function rates(chart) {
  return chart.lines.map((line, i) => ({ values: line.requests_per_s, colour: i, dash: [] }));
}

function errors(chart) {
  return chart.lines.map((line, i) => ({ values: line.error_ratio.map((one) => (one === null ? null : 100 * one)), colour: i, dash: [] }));
}

function latencies(chart) {
  return chart.lines.flatMap((line, i) => Object.entries(DASHES).map(([name, dash]) => ({ values: line[`latency_ms_${name}`], colour: i, dash })));
}

function figure(name, lines, chart, beside = null) {
  const drawn = h("div", { class: "chart small", role: "img", "aria-label": `${name}, over time: the newest values stand in the table below` });
  return h("figure", {}, h("figcaption", {}, name, beside), charted("traffic", drawn, (element) => [options(element, chart.at_s, lines), [chart.at_s, ...lines.map((line) => line.values)]]));
}

/** Which colour is which, with the newest values: what the charts say, in words. */
function legend(chart) {
  const newest = (values) => values.findLast((one) => one !== null) ?? null;
  const heads = [chart.lines[0].version ? "Version" : "Model", "Requests/s", "Errors", "p50", "p95", "p99"];
  const lines = chart.lines.map((line, i) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("i", { class: `swatch c${i}`, "aria-hidden": "true" }), named(line)),
      [number(newest(line.requests_per_s)), percent(newest(line.error_ratio)), ...Object.keys(DASHES).map((name) => milliseconds(newest(line[`latency_ms_${name}`])))].map((text) => h("td", { class: "n" }, text)),
    ),
  );
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Newest values" }, h("table", { class: "lines plain" }, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i ? "n" : null }, head)))), h("tbody", {}, lines)));
}

function options(element, at_s, lines) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  const size = Number.parseFloat(style.fontSize);
  const axis = { stroke: colour("--text-2"), font: `${Math.round(size * 0.78)}px ${style.fontFamily}`, ticks: { show: false } };
  const days = at_s.at(-1) - at_s[0] > 2 * 86_400;
  const said = (at) => new Date(at * 1000).toISOString().slice(...(days ? [5, 10] : [11, 16]));
  const single = (values) => values.map((one, at) => [one, at]).filter(([one, at]) => one !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null).map(([, at]) => at);
  return {
    width: element.clientWidth,
    height: Math.round(size * 11),
    legend: { show: false },
    cursor: { show: false },
    padding: [size * 0.6, size * 0.8, 0, 0],
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    scales: { x: { time: true }, y: { range: (_, __, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, grid: { show: false }, space: size * 4, gap: size * 0.5, values: (_, splits) => splits.map(said), size: size * 2 },
      { ...axis, grid: { stroke: colour("--line"), width: 1 }, values: (_, splits) => splits.map((one) => number(one)), size: size * 3.4 },
    ],
    series: [{}, ...lines.map((line) => ({ stroke: colour(`--c${line.colour}`), width: 2, dash: line.dash, spanGaps: false, points: { show: true, size: 4, fill: colour(`--c${line.colour}`), filter: (plot, i) => single(plot.data[i]) } }))],
  };
}

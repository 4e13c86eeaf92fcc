// What does one version look like: its heat map, and the histogram of the cell that is open?

import { ask, Refused } from "./api.js";
import { h, pill, show } from "./dom.js";
import { length, moment } from "./figures.js";
import { FILTER_FROM, heatMap, heatRows, weight } from "./heat.js";
import { histogram } from "./histogram.js";
import { state } from "./models.js";
import { act, history, routesKnown, whyOff } from "./orders.js";
import { link } from "./places.js";

let held = { of: "", version: null, heat: null, picture: null, problem: "" };
let asking = null;
let wanted = "";

/** Shows the version of `place`, asking only for what is not known at its last judged minute. */
export async function showDetail(section, place, overview) {
  const line = overview.versions.find((one) => one.model === place.model && one.version === place.version);
  section.hidden = !place.version; // of a model alone there is its traffic
  if (!place.version) return;
  if (!line) {
    show(section, ["unknown", place.model, place.version], () => [title(place, null), h("p", { class: "empty" }, `No request for ${place.model} ${place.version} was seen.`)]);
    return;
  }
  const of = JSON.stringify([place.model, place.version, line.digest, line.judged_s]);
  const about = JSON.stringify([of, place.column, place.side, place.window_s]);
  if (asking === about) return;
  if (held.about !== about) {
    asking = about;
    const fresh = await asked(of, about, place);
    if (asking !== about) return; // somewhere else by now
    held = fresh;
    asking = null;
  }
  paint(section, place, line, overview);
}

async function asked(of, about, place) {
  const named = { model: place.model, version: place.version };
  try {
    const same = held.of === of && held.heat;
    const [version, heat] = same ? [held.version, held.heat] : await Promise.all([ask("version", named), ask("heat", named).catch(notJudged)]);
    const picture = place.column && heat ? await ask("drift", { ...named, window_s: place.window_s ?? worstWindow(heat, place), column: place.column }).catch(notJudged) : null;
    return { of, about, version, heat, picture, problem: "" };
  } catch (error) {
    return { of, about: "", version: null, heat: null, picture: null, problem: error.message };
  }
}

function notJudged(error) {
  if (error instanceof Refused && error.status === 404) return null;
  throw error;
}

/** The window that tells most of a column: where its effect is furthest above what is tolerated. */
function worstWindow(heat, place) {
  const row = heat.rows.find((one) => one.column === place.column && one.side === place.side);
  const said = row?.cells.map(([, verdict, found, , tolerance]) => (found === undefined || found === null ? -1 : weight(verdict, found, tolerance))) ?? [0];
  return heat.windows_s[said.indexOf(Math.max(...said))];
}

function paint(section, place, line, overview) {
  const { version, heat, picture, problem } = held;
  show(section, [held.about, place.range, problem, line.phase, wanted, canary(overview, place), routesKnown(place.model), whyOff()], () => {
    if (!version) return [title(place, line), h("p", { class: "problem" }, problem)];
    const scrolled = section.querySelector(".heat-scroll")?.scrollLeft ?? 0;
    const column = picture?.columns.find((one) => one.column === place.column && one.side === place.side);
    const rows = heat ? heatRows(heat, version) : [];
    const found = rows.filter((row) => row.column.toLowerCase().includes(wanted));
    const chosen = column ? { side: column.side, column: column.column, window_s: picture.window_s } : null;
    const map = heat ? heatMap(heat, found, chosen, (row, window_s) => (location.hash = link(place.model, place.version, row.column, row.side, window_s))) : h("p", { class: "empty" }, unjudged(version));
    requestAnimationFrame(() => section.querySelector(".heat-scroll")?.scrollTo({ left: scrolled }));
    return [
      title(place, line),
      actions(overview, place),
      h("p", { class: "note" }, version.judged_s ? `judged up to ${moment(version.judged_s)} · ` : "", h("code", {}, version.digest.slice(0, 19))),
      h("div", { class: "detail" }, h("div", { class: "map" }, rows.length >= FILTER_FROM ? filter(section, place, line, overview, rows.length) : null, map, ...beside(version)), h("div", { class: "histogram" }, column ? histogram(picture, column) : h("p", { class: "empty" }, heat ? "Choose a cell to hold training against now." : ""))),
    ];
  });
}

function canary(overview, { model }) {
  return overview.versions.some((one) => one.model === model && one.arms.some((arm) => arm.arm === "canary" && arm.requests_per_s));
}

/** What can be done about the routes of the model, and who did what as far as the service has told. */
function actions(overview, place) {
  const told = routesKnown(place.model);
  const button = (what, text) => act(`detail-${what}`, what, { model: place.model }, text);
  return [
    h("div", { class: "actions" }, canary(overview, place) ? [button("promote", "Promote the canary …"), button("abort", "Take the canary out …")] : null, button("rollback", "Roll back …"), button("look", "Who changed it …")),
    whyOff() ? h("p", { class: "note", id: "orders-off" }, whyOff()) : null,
    told ? h("details", { id: "detail-routes" }, h("summary", {}, "Routes, and who changed them"), history(told)) : null,
  ];
}

function title(place, line) {
  return h("div", { class: "title" }, h("h2", { id: "detail-title" }, h("span", { class: "model" }, place.model), h("span", { class: "version" }, place.version)), line ? pill(...state(line)) : null, h("a", { class: "button quiet", href: link(""), id: "detail-close" }, "Close"));
}

function filter(section, place, line, overview, n) {
  const input = h("input", { id: "detail-filter", type: "search", value: wanted, placeholder: `Filter ${n} columns`, "aria-label": "Filter columns by name" });
  input.addEventListener("input", () => {
    wanted = input.value.toLowerCase();
    paint(section, place, line, overview);
    const again = document.getElementById("detail-filter");
    again.setSelectionRange(again.value.length, again.value.length);
  });
  return input;
}

function unjudged(version) {
  return version.judged_s ? "It came without training data: there is nothing to compare with." : "Not judged since the monitor started. A minute is judged when it is over and a later request has come.";
}

function beside(version) {
  const segments = version.segments.map((one) => {
    const bad = [...(one.drift ?? []), ...(one.skew ?? [])].filter((check) => check.verdict === "drifted");
    const said = one.learnt_until_s ? (bad.length ? `${bad.length} checks drifted, first ${bad[0].column} in ${length(bad[0].window_s)}` : "nothing stands out") : `learning since ${moment(one.learnt_from_s)}, ${one.learnt_rows} rows`;
    return h("li", {}, h("code", {}, one.segment), ` ${said}`);
  });
  return [segments.length ? h("ul", { class: "life segments" }, segments) : null, version.not_watched.length ? h("p", { class: "note" }, `Not watched, dropped before they are written: ${version.not_watched.join(", ")}.`) : null];
}

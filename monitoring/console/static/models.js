// Which versions are there, who answers, and how do their checks stand? One line each, worst first.

import { h, lazily, pill, show } from "./dom.js";
import { length, number, percent } from "./figures.js";
import { link } from "./places.js";

const FILTER_FROM = 9; // lines from which on one looks for a name
const ORDER = ["firing", "pending", "cooling", "quiet"];
const WORDS = { firing: ["bad", "Incident"], pending: ["warn", "Suspect"], cooling: ["warn", "Recovering"] };
let wanted = "";

export function state(version) {
  const judged = (version.checks.stable ?? 0) + (version.checks.drifted ?? 0);
  return WORDS[version.phase] ?? (judged ? ["good", "Quiet"] : ["unknown", "Not judged"]);
}

export function showModels(section, versions, place) {
  if (!section.firstChild) {
    const filter = h("input", { id: "models-filter", type: "search", placeholder: "Filter by name", "aria-label": "Filter models by name", hidden: true });
    filter.addEventListener("input", () => {
      wanted = filter.value.trim().toLowerCase();
      list(section, section.versions, section.place);
    });
    section.append(h("div", { class: "title" }, h("h2", { id: "models-title" }, "Models"), filter), h("div", { class: "list", role: "region", "aria-label": "Models", tabindex: "-1" }));
  }
  Object.assign(section, { versions, place });
  section.querySelector("input").hidden = versions.length < FILTER_FROM;
  list(section, versions, place);
}

function list(section, versions, place) {
  const found = versions
    .filter((one) => `${one.model} ${one.version}`.toLowerCase().includes(wanted))
    .sort((a, b) => ORDER.indexOf(a.phase) - ORDER.indexOf(b.phase) || a.model.localeCompare(b.model) || a.version.localeCompare(b.version, "en", { numeric: true }));
  show(section.querySelector(".list"), [found, place.model, place.version, place.range], () => {
    if (!found.length) return h("p", { class: "empty" }, versions.length ? "No model of that name." : "No model has been asked yet.");
    const body = h("tbody");
    lazily(body, found, (one) => line(one, one.model === place.model && one.version === place.version), 40, section.querySelector(".list"));
    const heads = ["State", "Model", "Arms", "Rows/s", "Errors", "p99", "Checks"];
    const narrow = new Set(["Rows/s", "Errors", "p99"]);
    return h("table", { class: "lines" }, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col", class: narrow.has(head) ? "n" : null }, head)))), body);
  });
}

function line(one, current) {
  const arms = one.arms.filter((arm) => arm.arm !== "shadow");
  const rows = arms.some((arm) => arm.rows_per_s !== null) ? arms.reduce((all, arm) => all + (arm.rows_per_s ?? 0), 0) : null;
  const most = (name) => arms.reduce((all, arm) => (arm[name] === null ? all : Math.max(all ?? 0, arm[name])), null);
  const p99 = most("latency_ms_p99");
  const name = h("a", { id: `line-${one.model}/${one.version}`, href: link(one.model, one.version), "aria-current": current ? "true" : null }, h("span", { class: "model" }, one.model), h("span", { class: "version" }, one.version));
  return h(
    "tr",
    { class: current ? "current" : null },
    h("td", { "data-head": "State" }, pill(...state(one))),
    h("th", { scope: "row" }, name),
    h("td", { "data-head": "Arms" }, one.arms.map((arm) => h("span", { class: "tag" }, arm.arm))),
    h("td", { class: "n", "data-head": "Rows/s" }, number(rows)),
    h("td", { class: "n", "data-head": "Errors" }, percent(most("error_ratio"))),
    h("td", { class: "n", "data-head": "p99" }, p99 === null ? "–" : `${number(p99)} ms`),
    h("td", { class: "checks", "data-head": "Checks" }, checks(one)),
  );
}

/** A bar of all checks by verdict, and the same in words. */
function checks({ checks: counts, worst }) {
  const drifted = counts.drifted ?? 0, stable = counts.stable ?? 0;
  const open = (counts.too_few_samples ?? 0) + (counts.no_baseline ?? 0);
  const said = [drifted && `${drifted} drifted`, stable && `${stable} fit`, open && `${open} open`].filter(Boolean).join(" · ") || "none";
  const bar = h("span", { class: "split", "aria-hidden": "true" }, [["drifted", drifted], ["stable", stable], ["open", open]].filter(([, n]) => n).map(([kind, n]) => h("i", { class: kind, vars: { "--n": n } })));
  return [bar, h("span", {}, said), worst ? h("span", { class: "worst" }, "worst: ", h("code", {}, worst.column || "request"), ` in ${length(worst.window_s)}`) : null];
}

// How good is each version by its labels, and what would its shadows have said?

import { h, lazily, pill, show } from "./dom.js";
import { interval, length, number, percent, whole } from "./figures.js";
import { act } from "./orders.js";
import { link } from "./places.js";

export function showLabels(section, { versions = [], not_asked = [], counters = {} }) {
  show(section, [versions, not_asked, counters], () => {
    const body = h("div", { class: "entries" });
    lazily(body, versions, labelled, 10);
    const came = Object.entries(counters).filter(([, n]) => n).map(([name, n]) => `${whole(n)} ${name.replaceAll("_", " ")}`);
    return [
      h("div", { class: "title" }, h("h2", { id: "labels-title" }, "Labels"), came.length ? h("span", { class: "note" }, came.join(" · ")) : null),
      versions.length ? body : h("p", { class: "empty" }, "No version has a task that labels could be held against."),
      not_asked.length ? h("details", { id: "labels-not" }, h("summary", {}, `Versions without: ${not_asked.length}`), h("ul", { class: "life" }, not_asked.map((one) => h("li", {}, `${one.model} ${one.version}: ${one.why.replaceAll("_", " ")}`)))) : null,
    ];
  });
}

function labelled(one) {
  const window = one.windows.find((each) => each.labelled) ?? one.windows[0];
  const alarm = one.alarm_loss ? pill("bad", "Loss rose") : one.alarm_estimate ? pill("warn", "Loss may have risen") : window?.labelled ? pill("good", "Holds") : pill("unknown", "No labels yet");
  const measures = (window?.measures ?? []).filter((measure) => measure.realised !== undefined || measure.estimated !== undefined);
  const heads = ["Measure", "By labels", "95 %", "Estimated"];
  return h(
    "article",
    {},
    h("p", { class: "incident-head" }, alarm, named(one.model, one.version), h("span", { class: "note" }, `${one.task.replaceAll("_", " ")} of ${one.output}`)),
    window ? h("p", { class: "note" }, `${whole(window.labelled)} of ${whole(window.waited)} predictions of the last ${length(window.window_s)} have their label${window.delay_s.p50 === null ? "" : `, half within ${length(window.delay_s.p50)}`}`) : null,
    one.reference === "learning" ? h("p", { class: "note" }, `Learning its reference: ${whole(one.reference_rows)} of ${whole(one.reference_rows_needed)} labelled rows.`) : null,
    measures.length
      ? h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Measures of ${one.model} ${one.version}` }, h("table", { class: "lines plain" }, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i ? "n" : null }, head)))), h("tbody", {}, measures.map((each) => h("tr", {}, h("th", { scope: "row" }, each.name.replaceAll("_", " ")), h("td", { class: "n" }, number(each.realised)), h("td", { class: "n" }, interval(each.low, each.high)), h("td", { class: "n" }, number(each.estimated)))))))
      : null,
  );
}

export function showShadows(section, { compared = [], unpaired = [] }, rollouts) {
  show(section, [compared, unpaired, rollouts], () => {
    const body = h("div", { class: "entries" });
    lazily(body, compared, shadow, 10);
    return [
      h("div", { class: "title" }, h("h2", { id: "shadows-title" }, "Shadows and rollouts")),
      rollouts.length ? h("div", { class: "entries rollouts" }, rollouts.map(rollout)) : null,
      compared.length ? body : h("p", { class: "empty" }, "No shadow runs beside a version."),
      unpaired.length ? h("p", { class: "note" }, `Compared with nothing: ${unpaired.map((one) => `${whole(one.n)} of ${one.model} ${one.shadow} (${one.reason.replaceAll("_", " ")})`).join(", ")}.`) : null,
    ];
  });
}

const STANDS = { paused: ["warn", "Paused"], changed_by_hand: ["warn", "In a person's hands"], no_canary: ["unknown", "No canary"], over: ["unknown", "Over"], stable_already: ["unknown", "Stable already"], to_be_promoted: ["good", "To be promoted"], says_only: ["good", "Watched"], nothing_to_do: ["good", "Goes on"], changed: ["good", "Goes on"] };
const ENDED = ["no_canary", "over", "stable_already"];

function rollout(one) {
  const waits = one.paused || one.stands === "changed_by_hand";
  const stands = one.paused ? "paused" : one.stands;
  const button = (what, text) => act(`${what}-${one.model}`, what, { model: one.model }, text);
  return h(
    "article",
    {},
    h("p", { class: "incident-head" }, pill(...(one.problem ? ["warn", "Stands still"] : (STANDS[stands] ?? ["unknown", "Rollout"]))), named(one.model, one.version), one.percent === null ? null : h("span", { class: "note" }, `its step: ${number(one.percent)} %`)),
    h("p", { class: "story" }, one.sentence),
    one.problem ? h("p", { class: "problem" }, one.problem) : null,
    ENDED.includes(one.stands) ? null : h("div", { class: "actions" }, waits ? button("resume", "Resume …") : button("pause", "Pause …"), button("promote", "Promote …"), button("abort", "Take it out …")),
  );
}

function shadow(one) {
  const heads = ["Output", "Agree", "Shadow − answer", "95 %", "Drift"];
  const lines = one.outputs.map((output) => {
    const by = output.difference;
    return h("tr", {}, h("th", { scope: "row" }, output.output), h("td", { class: "n" }, percent(output.agreement, 4)), h("td", { class: "n" }, number(by?.mean)), h("td", { class: "n" }, by ? interval(by.mean_low, by.mean_high) : ""), h("td", { class: "n" }, number(output.drift)));
  });
  return h(
    "article",
    {},
    h("p", { class: "incident-head" }, one.failed ? pill("warn", `${whole(one.failed)} failed`) : pill("good", "Answers all"), named(one.model, one.version), h("span", { class: "note" }, `beside it version ${one.shadow}`)),
    h("p", { class: "note" }, `${whole(one.requests)} requests, ${whole(one.rows)} rows of the last ${length(one.covered_s || one.window_s)}; the shadow takes ${number(one.latency_ms.p50)} ms longer at the median, ${number(one.latency_ms.p99)} ms at p99`),
    lines.length ? h("div", { class: "wide" }, h("table", { class: "lines plain" }, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i ? "n" : null }, head)))), h("tbody", {}, lines))) : null,
  );
}

function named(model, version) {
  return h("a", { href: link(model, version) }, h("span", { class: "model" }, model), h("span", { class: "version" }, version));
}

// What happened, where does it stand, who knows of it, and did it reach those who are to be told?

import { ask } from "./api.js";
import { h, lazily, pill, prose, show } from "./dom.js";
import { moment, number } from "./figures.js";
import { act } from "./orders.js";
import { link } from "./places.js";

const SHOWN = 5;
const PHASES = { firing: ["bad", "Firing"], open: ["bad", "Open"], cooling: ["warn", "Cooling"], pending: ["warn", "Pending"], over: ["unknown", "Over"] };

export function showIncidents(section, incidents, silences, outbox) {
  const told = (one) => line(one, silences, outbox);
  show(section, [incidents, silences, outbox.receivers.map((one) => one.name)], () => {
    const open = incidents.filter((one) => one.phase !== "over").length;
    const list = h("ol", { class: "incidents" });
    lazily(list, incidents.slice(0, SHOWN), told, SHOWN);
    const rest = incidents.slice(SHOWN);
    const older = h("ol", { class: "incidents" });
    const more = h("details", { id: "incidents-more" }, h("summary", {}, `${rest.length} older`), older);
    more.addEventListener("toggle", () => more.open && !older.firstChild && lazily(older, rest, told, 20));
    return [
      h("div", { class: "title" }, h("h2", { id: "incidents-title" }, "Incidents"), h("span", { class: "note" }, incidents.length ? `${open} open, ${incidents.length} kept` : "")),
      incidents.length ? list : h("p", { class: "empty" }, "None is kept. What fires appears here with its sentence, and stays until it is forgotten."),
      rest.length ? more : null,
    ];
  });
}

function line(one, silences, outbox) {
  const subject = { model: one.model, version: one.version, incident: one.event };
  const at_s = Date.parse(one.time) / 1000;
  return h(
    "li",
    { id: one.event, class: one.phase === "over" ? "over" : null },
    h("p", { class: "incident-head" }, pill(...(PHASES[one.phase] ?? ["unknown", one.phase])), h("a", { href: link(one.model, one.version) }, h("span", { class: "model" }, one.model), h("span", { class: "version" }, one.version)), h("time", { datetime: one.time, class: "note" }, moment(at_s))),
    h("p", { class: "story" }, prose(one.story || one.reason)),
    one.story ? h("p", { class: "note reason" }, one.reason) : null,
    h("ul", { class: "life" }, life(one, silences, outbox).map((text) => h("li", {}, text))),
    one.phase === "over" ? null : rows(one),
    one.phase === "over" ? null : h("div", { class: "actions" }, one.acked ? null : act(`ack-${one.event}`, "ack", subject), one.silenced_by ? null : act(`silence-${one.event}`, "silence", subject)),
    h("p", { class: "note event" }, h("code", {}, one.event)),
  );
}

/** Rows that were hit, asked for when they are opened; private columns are named only. */
function rows({ event, model, version }) {
  const body = h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Rows of the incident" });
  const details = h("details", { id: `rows-${event}`, class: "rows" }, h("summary", {}, "Rows of it"), body);
  details.addEventListener("toggle", async () => {
    if (!details.open || body.firstChild) return;
    const told = await ask("rows", { model, version }).catch((error) => ({ problem: error.message, rows: [] }));
    body.replaceChildren(...(told.rows.length ? [table(told), h("p", { class: "note" }, hidden(told))] : [h("p", { class: "empty" }, told.problem ?? "No rows of it are kept.")]));
  });
  return details;
}

function table({ columns, changed, rows: held }) {
  const heads = ["Request", "Row", "Time", ...columns];
  return h("table", { class: "lines plain" }, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col" }, i > 2 && i < 3 + changed ? h("strong", {}, head) : head)))), h("tbody", {}, held.map((one) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, one.request_id)), [String(one.row), moment(one.at_s), ...one.values.map(value)].map((text) => h("td", {}, text))))));
}

function value(one) {
  return one === null ? "null" : typeof one === "number" ? number(one, 6) : String(one);
}

function hidden({ hidden: names }) {
  return names.length ? `As the log holds them, changed columns first. Private, so not shown: ${names.join(", ")}.` : "As the log holds them, changed columns first.";
}

function life(one, silences, outbox) {
  const silence = silences.find(({ id }) => id === one.silenced_by);
  const told = Object.entries(one.receivers).map(([name, delivery]) => `${name}: ${delivered(delivery)}`);
  const known = new Set(Object.keys(one.receivers));
  const waiting = outbox.receivers.filter(({ name }) => !known.has(name)).map(({ name }) => `${name}: not decided yet`);
  const ends = Object.entries(one.ending).map(([name, delivery]) => `its end to ${name}: ${delivered(delivery)}`);
  return [
    one.acked ? `acknowledged by ${one.acked.by || "somebody"}${one.acked.why ? `: ${one.acked.why}` : ""}` : "not acknowledged",
    silence ? `silenced by ${silence.by} until ${moment(Date.parse(silence.until) / 1000)}: ${silence.why}` : one.silenced_by ? `silenced (${one.silenced_by})` : null,
    one.answer ? `answered with version ${one.answer.version} by ${one.answer.by}` : null,
    ...(told.length || outbox.receivers.length ? [...told, ...(one.phase === "over" ? [] : waiting)] : ["kept in the outbox, no receiver is set"]),
    ...ends,
  ].filter(Boolean);
}

function delivered(one) {
  const note = one.note ? `, ${one.note}` : "";
  switch (one.state) {
    case "taken":
      return `taken ${moment(one.at_s)} (${one.status})`;
    case "due":
      return "being sent until it is taken";
    case "held":
      return `held: ${one.why.replaceAll("_", " ")}${note}${one.until_s ? ` until ${moment(one.until_s)}` : ""}`;
    case "withheld":
      return `not sent: ${one.why.replaceAll("_", " ")}${note}`;
    default:
      return one.state;
  }
}

// What does a person do about it? One dialog: who, why and the token; what will change; what was done. Nothing is kept but in memory.

import { ask, order } from "./api.js";
import { h } from "./dom.js";
import { moment, number } from "./figures.js";

const HOURS = [[1, "1 hour"], [4, "4 hours"], [24, "1 day"], [168, "7 days"]];
const NAMES = { promote: "Promote the canary", abort: "Take the canary out", rollback: "Roll back", pause: "Pause the rollout", resume: "Resume the rollout", look: "Look at the routes", ack: "Acknowledge", silence: "Silence" };
const ABOUT = {
  promote: "The canary becomes stable and answers everything, whatever the evidence says.",
  abort: "Stable answers everything again.",
  rollback: "Takes the canary out; where there is none, the version that was stable before answers again.",
  pause: "No share is raised until it is resumed; a rollback is still made.",
  resume: "Ends a pause, and hands routes that were changed by hand over to the rollout again.",
  look: "Who answers now, and who changed that. Changes nothing.",
  ack: "Says that somebody knows of it. It ends nothing; repetitions stop.",
  silence: "What matches is held back from the receivers, and still shown here.",
};
const person = { token: "", by: "" }; // for as long as the page is open
const known = new Map(); // model → what the service last told of its routes
let off = "";
let changed = () => {};
let opening = 0; // counts: what is answered to another opening of the dialog is not shown in this one
let underWay = 0; // the opening whose order is not answered yet; it stays open until it is

/** Learns whether this monitor may change routes; `then` is called after something was changed. */
export async function prepare(then) {
  changed = then;
  document.getElementById("act").oncancel = stay;
  document.onkeydown = (event) => (event.key === "Escape" ? stay(event) : true); // a second cancel in a row cannot be held, its key can
  off = (await ask("orders")).off;
  for (const button of document.querySelectorAll("[data-routes]")) button.disabled = Boolean(off);
}

export function routesKnown(model) {
  return known.get(model);
}

/** A button that opens the dialog for this: `what` is an action on `model`, or on an `incident`. */
export function act(id, what, subject, text = `${NAMES[what]} …`) {
  const routes = !subject.incident;
  return h("button", { type: "button", id, class: "button act", disabled: Boolean(off && routes), "data-routes": routes, onclick: () => open(what, subject) }, text);
}

/** Why routes cannot be changed here; empty where they can. */
export function whyOff() {
  return off;
}

/** While an order is under way nobody leaves its dialog. */
function stay(event) {
  if (underWay && underWay === opening && document.getElementById("act").open) event.preventDefault();
}

function open(what, subject) {
  const dialog = document.getElementById("act");
  const mine = ++opening;
  dialog.addEventListener("close", () => mine === opening && dialog.replaceChildren(), { once: true });
  form(dialog, what, subject, "");
  dialog.showModal();
  (dialog.querySelector("input:placeholder-shown:not([readonly])") ?? dialog.querySelector("button")).focus();
}

function head(what, { model, version, incident }) {
  return [h("h2", { id: "act-title" }, NAMES[what]), h("p", { class: "about" }, h("span", { class: "model" }, model), version ? h("span", { class: "version" }, version) : null, incident ? h("code", { class: "note" }, ` ${incident}`) : null), h("p", {}, ABOUT[what])];
}

function form(dialog, what, subject, problem, given = {}) {
  const field = (id, label, attributes) => [h("label", { for: id }, label), h("input", { id, placeholder: " ", autocomplete: "off", ...attributes })];
  const span = what === "silence" ? [h("label", { for: "act-for" }, "For"), h("select", { id: "act-for" }, HOURS.map(([hours, text]) => h("option", { value: hours * 3600, selected: Number(given.for_s) === hours * 3600 }, text)))] : null;
  const said = what === "look" ? null : [field("act-by", "Who you are", { required: true, maxlength: 64, value: person.by }), field("act-why", "Why", { required: what !== "ack", maxlength: 500, value: given.why ?? "" }), span];
  const made = h(
    "form",
    {},
    head(what, subject),
    field("act-token", "Admin token", { type: "password", required: true, value: person.token, "aria-describedby": "act-kept" }),
    h("p", { class: "note", id: "act-kept" }, "Kept in the memory of this page alone, until it is closed or loaded again."),
    said,
    trouble(problem),
    h("div", { class: "actions" }, h("button", { class: "button main", id: "act-look" }, what === "look" ? "Look" : "Show what changes"), cancel(dialog)),
  );
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    const value = (id) => made.querySelector(`#${id}`)?.value.trim();
    Object.assign(person, { token: value("act-token"), by: value("act-by") ?? person.by });
    const asked = { why: value("act-why"), for_s: value("act-for") };
    send(dialog, what, subject, asked, true);
  });
  dialog.replaceChildren(made);
}

function trouble(problem) {
  return h("p", { class: "problem", role: "alert", id: "act-problem" }, problem);
}

function cancel(dialog, text = "Cancel") {
  return h("button", { type: "button", class: "button quiet", id: "act-cancel", onclick: () => dialog.close() }, text);
}

/** Asks for it, first dry; a refusal is said in words, and one looks again from the beginning. */
async function send(dialog, what, subject, asked, dry, generation = undefined) {
  const mine = opening;
  const real = !dry && what !== "look";
  for (const button of dialog.querySelectorAll("button")) button.disabled = true;
  if (real) underWay = mine;
  const [answer, error] = await (subject.incident ? said : ordered)(what, subject, asked, dry, generation).then((told) => [told, null], (failed) => [null, failed]);
  if (underWay === mine) underWay = 0;
  if (real || (what === "look" && answer)) changed();
  if (!dialog.open || mine !== opening) return;
  if (error) form(dialog, what, subject, words(error, real && subject), asked);
  else if (what === "look" || real) done(dialog, what, subject, answer);
  else preview(dialog, what, subject, asked, answer);
  dialog.querySelector(error ? (error.status === 401 ? "#act-token" : "#act-look") : "button").focus();
}

async function ordered(what, { model }, { why }, dry, generation) {
  const body = what === "look" ? { do: what } : { do: what, by: person.by, why, generation, dry_run: dry };
  const answer = await order("POST", `orders/${encodeURIComponent(model)}`, person.token, body);
  known.set(model, answer);
  return answer;
}

async function said(what, { model, version, incident }, { why, for_s }, dry) {
  const body = { by: person.by, why: why ?? "", dry_run: dry };
  if (what === "ack") return order("POST", `incidents/${encodeURIComponent(incident)}/ack`, person.token, body);
  return order("POST", "silences", person.token, { ...body, for_s: Number(for_s), model: literal(model), version: literal(version) });
}

/** A name as a pattern that means it alone. */
function literal(name) {
  return name.replace(/[[*?]/g, (sign) => `[${sign}]`);
}

/** `subject`: of a real order, false where nothing was to be done. An error without a code is none of the monitor's: it went astray. */
function words(error, subject) {
  if (subject && (!error.code || error.code === "outcome_unknown")) return `It is not known whether it was done; look at the ${subject.incident ? "incident" : "routes"} (${error.message}).`;
  switch (error.status) {
    case 401:
      return `This token opens nothing: ${error.message}.`;
    case 403:
      return `Not allowed: ${error.message}.`;
    case 409:
      return `Not done: ${error.message}. Look again before you decide.`;
    case 429:
      return `Not tried: ${error.message}.`;
    default:
      return `Not done: ${error.message}`;
  }
}

function preview(dialog, what, subject, asked, answer) {
  const confirm = h("button", { type: "button", class: "button main", id: "act-do", onclick: () => send(dialog, what, subject, asked, false, answer.generation) }, `${NAMES[what]} now`);
  const back = h("button", { type: "button", class: "button", id: "act-back", onclick: () => form(dialog, what, subject, "", asked) }, "Back");
  dialog.replaceChildren(h("div", { class: "stage" }, head(what, subject), h("h3", {}, "This will change"), changes(what, subject, answer), h("div", { class: "actions" }, confirm, back, cancel(dialog))));
}

function changes(what, subject, answer) {
  if (what === "ack") return table([["Known of by", "nobody said so", `${answer.by}${answer.why ? `: ${answer.why}` : ""}`]]);
  if (what === "silence") return table([["Events of this version", "are sent", `are held until ${moment(answer.until_s)}`], ["Said by", "", `${answer.by}: ${answer.why}`]]);
  const rows = shares(answer).map(([version, before, after]) => [`version ${version}`, `${number(before)} %`, `${number(after)} %`]);
  if (what === "pause" || what === "resume") rows.push(["rollout", answer.paused ? "paused" : "goes on", what === "pause" ? "paused" : "goes on"]);
  else rows.push(["generation of the routes", answer.generation, answer.generation + 1]);
  return [table(rows), h("p", { class: "note" }, `${answer.sentence}.`), answer.behind.length ? h("p", { class: "problem" }, `Workers have yet to load ${answer.behind.join(", ")}; the change waits up to 10 s for them.`) : null];
}

function table(rows) {
  return h("table", { class: "lines plain change" }, h("thead", {}, h("tr", {}, ["What", "Before", "After"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows.map(([name, before, after]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, before), h("td", {}, after)))));
}

/** [version, before, after] of those that answer. */
function shares(answer) {
  const found = new Map();
  for (const { arm, version, before, after } of answer.shares) {
    if (arm === "shadow") continue;
    const [b, a] = found.get(version) ?? [0, 0];
    found.set(version, [b + before, a + after]);
  }
  return [...found].map(([version, [b, a]]) => [version, b, a]);
}

function done(dialog, what, subject, answer) {
  const sentence = { look: "", ack: "It is written down who knows of it.", silence: `It is silent until ${moment(answer.until_s)}.` }[what] ?? `${answer.sentence[0].toUpperCase()}${answer.sentence.slice(1)}; generation ${answer.generation}.`;
  dialog.replaceChildren(
    h(
      "div",
      { class: "stage" },
      h("h2", { id: "act-title" }, what === "look" ? `Routes of ${subject.model}` : "Done"),
      sentence ? h("p", { role: "status", id: "act-done" }, sentence) : null,
      subject.incident ? null : history(answer),
      h("div", { class: "actions" }, cancel(dialog, "Close")),
    ),
  );
}

/** Who answers, and who changed that and why, the newest first. */
export function history(answer) {
  const answers = answer.stable ? `Version ${answer.stable} is stable${answer.canary === null ? "" : `, version ${answer.canary} has ${number(answer.percent)} %`}; generation ${answer.generation}${answer.paused ? "; the rollout is paused" : ""}.` : "The service has no routes of it.";
  const lines = [
    ...answer.changes.map((one) => [one.at, one.by || one.via, `${entry(one.before)} → ${entry(one.after)}`, one.why]),
    ...answer.words.map((one) => [one.at, one.by, `${one.do} of the rollout`, one.why ?? ""]),
  ].sort((a, b) => Date.parse(b[0]) - Date.parse(a[0]));
  const heads = ["When", "Who", "What", "Why"];
  return [h("p", {}, answers), lines.length ? h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Changes" }, h("table", { class: "lines plain told" }, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, lines.map(([at, ...rest]) => h("tr", {}, h("td", {}, h("time", { datetime: at }, moment(Date.parse(at) / 1000))), rest.map((text) => h("td", {}, text))))))) : null];
}

function entry(routes) {
  if (!routes) return "no routes";
  return `${routes.stable}${routes.canary ? ` + ${routes.canary.version} at ${number(routes.canary.percent)} %` : ""}`;
}

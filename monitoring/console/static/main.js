// What makes the page: it listens to its monitor, follows the address, and tells every section what is new.

import { ask, keep, listen } from "./api.js";
import { showDetail } from "./detail.js";
import { h } from "./dom.js";
import { showIncidents } from "./incidents.js";
import { showLedger } from "./ledger.js";
import { showModels } from "./models.js";
import { prepare } from "./orders.js";
import { here } from "./places.js";
import { showLabels, showShadows } from "./quality.js";
import { showFigures, showTop } from "./top.js";
import { showTraffic } from "./traffic.js";

const SLOW_MS = 10_000; // what changes with minutes is asked for so often
const STALE_MS = 5_000; // without a status for so long the page says so
const at = (id) => document.getElementById(id);
const held = { overview: null, incidents: null, silences: [], labels: {}, shadows: {}, at_ms: 0, state: "waiting", why: "", asked_ms: 0, signature: "" };

function overview(told) {
  Object.assign(held, { overview: told, at_ms: Date.now() });
  paint();
  const signature = JSON.stringify([told.versions.map((one) => [one.phase, one.incident_s]), told.outbox]);
  if (signature === held.signature && Date.now() - held.asked_ms < SLOW_MS) return;
  Object.assign(held, { signature, asked_ms: Date.now() });
  slowly();
}

/** What is not in an overview; where one of it cannot be had, it stays what it was. */
async function slowly() {
  const [incidents, silences, labels, shadows] = await Promise.allSettled([ask("incidents"), ask("silences"), ask("labels"), ask("shadows"), prepare(slowly)]);
  if (incidents.status === "fulfilled") held.incidents = incidents.value.incidents;
  if (silences.status === "fulfilled") held.silences = silences.value.silences;
  if (labels.status === "fulfilled") held.labels = labels.value;
  if (shadows.status === "fulfilled") held.shadows = shadows.value;
  paint();
}

function paint() {
  const told = held.overview;
  if (!told) return;
  const place = here();
  showTop(at("top"), told);
  showFigures(at("figures"), told);
  showModels(at("models"), told.versions, place);
  showTraffic(at("traffic"), place);
  showDetail(at("detail"), place, told);
  showLedger(at("ledger"), told);
  if (held.incidents) showIncidents(at("incidents"), held.incidents, held.silences, told.outbox);
  showLabels(at("labels"), held.labels);
  showShadows(at("shadows"), held.shadows, told.rollouts);
}

function state(word, why = "") {
  Object.assign(held, { state: word, why });
  if (word === "locked") door(why);
  alive();
}

/** Says how new what is shown is, and that it is not where it is not. */
function alive() {
  const age_s = Math.round((Date.now() - held.at_ms) / 1000);
  const stale = held.at_ms && Date.now() - held.at_ms > STALE_MS;
  const said = { waiting: "connecting …", live: "live", polling: "asking every 5 s", lost: "not connected", locked: "needs a key" }[held.state];
  const shown = stale && held.state === "live" ? "lost" : held.state;
  at("live").dataset.state = shown;
  at("live").textContent = stale ? `${shown === "lost" ? "not connected" : said}: last heard ${age_s} s ago` : said;
  at("live").title = held.why;
  document.body.classList.toggle("stale", Boolean(stale && shown === "lost"));
}

function door(why) {
  const input = h("input", { id: "key", type: "password", autocomplete: "off", required: true, "aria-describedby": "key-why" });
  const form = h("form", {}, h("h2", { id: "door-title" }, "This monitor asks for a key"), h("p", { id: "key-why" }, why), h("label", { for: "key" }, "API key of the scope read"), h("div", { class: "actions" }, input, h("button", { class: "button" }, "Open")), h("p", { class: "note" }, "It is kept until this tab is closed, and sent to this monitor alone. ", h("code", {}, "plumbline keys add NAME --scope read"), " makes one."));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keep(input.value.trim());
    at("door").hidden = true;
    listen(overview, state);
  });
  at("door").replaceChildren(form);
  at("door").hidden = false;
  input.focus();
}

let looked = "";
function follow() {
  const { model, version } = here();
  paint();
  const moved = `${model}/${version}` !== looked;
  looked = `${model}/${version}`;
  if (model && moved) at(version ? "detail" : "traffic").scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

addEventListener("hashchange", follow);
setInterval(alive, 1000);
follow();
listen(overview, state);

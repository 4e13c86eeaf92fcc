// Is it healthy, what changed, what do I do: the headlines, worst first, and the figures under them.

import { command, h, MARKS, prose, show } from "./dom.js";
import { bytes, length, moment, number, percent, sum, whole } from "./figures.js";
import { act } from "./orders.js";
import { link } from "./places.js";

const ALSO_SHOWN = 4;

export function showTop(section, { headlines }) {
  show(section, headlines, () => {
    const [first, ...rest] = headlines;
    document.title = first.level === "good" ? "Plumbline" : `${MARKS[first.level]} ${first.word} – Plumbline`;
    return h(
      "div",
      { class: `headline ${first.level}` },
      h("p", { class: "word" }, h("span", { class: "mark", "aria-hidden": "true" }, MARKS[first.level]), first.word, since(first)),
      h("p", { class: "sentence" }, sentence(first)),
      first.todo || first.command || first.model ? todo(first) : null,
      rest.length ? also(rest) : null,
    );
  });
}

/** The version that it begins with is a link to it. */
function sentence(one) {
  const start = `${one.model} ${one.version}: `;
  if (!one.version || !one.sentence.startsWith(start)) return prose(one.sentence);
  const name = h("a", { href: link(one.model, one.version, one.feature) }, h("span", { class: "model" }, one.model), h("span", { class: "version" }, one.version));
  return [name, ": ", prose(one.sentence.slice(start.length))];
}

function since(one) {
  return one.since_s ? h("span", { class: "since" }, `since ${moment(one.since_s)}`) : null;
}

function todo(one) {
  return h(
    "div",
    { class: "todo" },
    one.todo ? h("p", {}, h("strong", {}, "Do: "), one.todo) : null,
    h("div", { class: "actions" }, one.model ? where(one) : null, one.command.startsWith("plumbline routes rollback") ? act("act-headline", "rollback", { model: one.model }) : null, one.command ? command(one.command) : null),
  );
}

function where(one) {
  const text = one.feature ? ["See ", h("code", {}, one.feature)] : [`See ${one.model}`];
  return h("a", { class: "button", href: link(one.model, one.version, one.feature) }, text);
}

function also(rest) {
  const lines = rest.map((one) =>
    h(
      "li",
      { class: one.level },
      h("span", { class: "mark", "aria-hidden": "true" }, MARKS[one.level]),
      h("span", {}, h("strong", {}, `${one.word} `), sentence(one), one.command && !one.model ? [" ", h("code", {}, one.command)] : null),
    ),
  );
  const more = lines.splice(ALSO_SHOWN);
  return [
    h("ul", { class: "also" }, lines),
    more.length ? h("details", { id: "also-more" }, h("summary", {}, `${more.length} more`), h("ul", { class: "also" }, more)) : null,
  ];
}

export function showFigures(section, { versions, ledger, outbox, loop }) {
  const arms = versions.flatMap((one) => one.arms.filter((arm) => arm.arm !== "shadow"));
  const rows = arms.reduce((all, arm) => all + (arm.rows_per_s ?? 0), 0);
  const slowest = Math.max(-1, ...arms.map((arm) => arm.latency_ms_p99 ?? -1));
  const worst = Math.max(-1, ...arms.map((arm) => arm.error_ratio ?? -1));
  const judged = versions.filter((one) => one.checks.stable || one.checks.drifted);
  const clear = judged.filter((one) => one.phase === "quiet" && !one.checks.drifted).length;
  const window_s = arms[0]?.window_s ?? 300;
  const undelivered = outbox.receivers.length ? outbox.receivers.reduce((all, one) => all + (one.events.due ?? 0), 0) : outbox.pending;
  const said = [
    ["Versions clear", `${clear} of ${versions.length}`, judged.length < versions.length ? `${versions.length - judged.length} not judged yet` : "all judged"],
    ["Rows a second", number(rows), `last ${length(window_s)}`],
    ["Slowest p99", slowest < 0 ? "–" : `${number(slowest)} ms`, "of all arms"],
    ["Most errors", worst < 0 ? "–" : percent(worst), "failed or shed, of all arms"],
    ["Events to deliver", whole(undelivered), outbox.receivers.length ? `${whole(outbox.delivered)} taken` : "no receiver is set"],
    ["Log still to read", bytes(ledger.lag_bytes), loop.errors ? `${loop.errors} ticks failed` : `read up to ${moment(ledger.closed_s)}`],
    ["Requests seen", whole(sum(ledger.requests)), `${whole(sum(ledger.rows))} rows`],
  ];
  show(section, said, () => h("dl", { class: "figures" }, said.map(([name, value, note]) => h("div", {}, h("dt", {}, name), h("dd", {}, h("span", { class: "value" }, value), h("span", { class: "note" }, note))))));
}

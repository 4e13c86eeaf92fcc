// Is every request accounted for, how far was the log read, and how do the receivers fare?

import { h, pill, show } from "./dom.js";
import { bytes, moment, sum, whole } from "./figures.js";

const SAID = { records: "records read", feedback: "labels", evaluations: "judgements", late: "too late for their minute", forgotten: "after their window", refused: "beyond the limits", malformed: "malformed", unsegmented: "rows beyond the limit of segments", nameless: "without a schema", unsampled: "not sampled", untold: "incidents whose story failed" };
const OUTCOMES = [["answered", "good"], ["rejected", "unknown"], ["shed", "warn"], ["failed", "bad"]];

export function showLedger(section, { ledger, outbox, loop }) {
  show(section, [{ ...ledger, watermark_s: 0 }, outbox, loop.errors, loop.last_error, loop.keys, loop.state_bytes], () => {
    const lost = sum(ledger.lost_records), holes = sum(ledger.lost_holes);
    return [
      h("div", { class: "title" }, h("h2", { id: "ledger-title" }, "Log"), lost || holes ? pill("bad", "Records lost") : pill("good", "None lost")),
      h("p", { class: "note" }, ledger.caught_up ? `Read to its end; minutes are closed up to ${moment(ledger.closed_s)}.` : `${bytes(ledger.lag_bytes)} still to read; minutes are closed up to ${moment(ledger.closed_s)}.`),
      account(ledger),
      h("dl", { class: "pairs" }, [
        ...Object.entries(ledger.counters).filter(([name, n]) => n || name === "records").map(([name, n]) => [SAID[name] ?? name, whole(n)]),
        ...Object.entries(ledger.lost_records).map(([why, n]) => [`lost: ${why}`, whole(n)]),
        ...Object.entries(ledger.lost_holes).map(([why, n]) => [`holes of unknown size: ${why}`, whole(n)]),
        ["rows archived since start", whole(ledger.archived_rows)],
        ["segments waiting for the archive", whole(ledger.waiting_segments)],
        ["versions × arms counted", `${loop.keys} of ${loop.keys_max}`],
        ["state", `${bytes(loop.state_bytes)} of ${bytes(loop.state_bytes_max)}`],
        ...(loop.errors ? [["ticks that failed", whole(loop.errors)]] : []),
      ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      loop.last_error ? h("p", { class: "problem" }, loop.last_error) : null,
      receivers(outbox),
    ];
  });
}

function account({ requests, rows }) {
  const lines = OUTCOMES.map(([name, level]) => h("tr", { class: requests[name] ? level : null }, h("th", { scope: "row" }, name), h("td", { class: "n" }, whole(requests[name] ?? 0)), h("td", { class: "n" }, whole(rows[name] ?? 0))));
  const all = h("tr", { class: "all" }, h("th", { scope: "row" }, "received"), h("td", { class: "n" }, whole(sum(requests))), h("td", { class: "n" }, whole(sum(rows))));
  const heads = ["Outcome", "Requests", "Rows"];
  return h("table", { class: "lines plain" }, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i ? "n" : null }, head)))), h("tbody", {}, lines), h("tfoot", {}, all));
}

function receivers({ receivers: list, pending, silences }) {
  if (!list.length) return h("p", { class: "note" }, pending ? `No receiver is set; events in the outbox: ${pending}.` : "No receiver is set.");
  const lines = list.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, one.disabled ? pill("bad", "wants no more") : one.last_error ? pill("warn", "failing") : pill("good", "well")), h("td", { class: "n" }, whole(one.delivered)), h("td", { class: "n" }, whole(one.failures)), h("td", { class: "n" }, whole(one.events.due ?? 0))));
  const problems = list.filter((one) => one.last_error).map((one) => h("p", { class: "problem" }, `${one.name}: ${one.last_error}`));
  const heads = ["Receiver", "", "Taken", "Failed", "Due"];
  return [h("table", { class: "lines plain" }, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i > 1 ? "n" : null }, head)))), h("tbody", {}, lines)), ...problems, silences ? h("p", { class: "note" }, `Silences that hold now: ${silences}.`) : null];
}

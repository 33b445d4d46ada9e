// One model: its arms, traffic, versions, time series, features by evidence, data quality and reference.

import { alertItem, openAlerts } from "./alerts.js";
import { modelPath, path } from "./api.js";
import { chartPlace, draw, gapped, label, palette } from "./charts.js";
import { h } from "./dom.js";
import { bytes, clock, duration, number, percent, whole, words } from "./format.js";
import { heatScale, heatStrips, paintHeat } from "./heat.js";
import { armRows, armTable, evidence } from "./overview.js";
import { armColour, armName, card, choice, empty, eventGroups, stepItem, failed, legend, pill, table } from "./parts.js";
import { link } from "./router.js";

export const RANGES = [["1h", "1 h"], ["6h", "6 h"], ["24h", "24 h"], ["7d", "7 d"]];
const CHANGES = new Set(["traffic", "rollback", "shadow", "pinned", "unpinned", "labels", "version_ejected", "change_refused", "traffic_asked"]);

function paths({ parts, query }) {
  const model = parts[1];
  const since = query.since ?? "24h";
  return {
    report: modelPath(model),
    history: path(modelPath(model, "/history"), { since }),
    evidence: path(modelPath(model, "/evidence"), { since }),
    quality: modelPath(model, "/quality"),
    power: modelPath(model, "/power"),
    alerts: modelPath(model, "/alerts"),
    events: path("/api/events", { since: "30d", model, limit: 100 }),
    overview: "/api/overview",
  };
}

export const modelView = {
  title: ({ parts }) => parts[1] ?? "Model",
  sources(place) {
    const all = paths(place);
    return { ...all, history: [all.history, 4], evidence: [all.evidence, 4], power: [all.power, 40], events: [all.events, 4] };
  },
  draw(answers, errors, place) {
    const name = place.parts[1];
    const { report } = answers;
    const model = answers.overview?.models.find((one) => one.name === name);
    const json = paths(place);
    return [
      head(name, report, place),
      failed(errors.report),
      report?.problems.map((problem) => h("p", { class: "error" }, problem)),
      openAlerts(answers.alerts).length ? card("Open alerts", { json: json.alerts, flush: true }, h("ul", { class: "list" }, openAlerts(answers.alerts).map((alert) => alertItem(alert, true)))) : null,
      model && card("Arms", { json: json.overview, flush: true }, armTable(armRows(model, answers.overview.at_us, true), "Arm")),
      report && h("div", { class: "grid" }, split(report, answers.events, json), charts(answers.history, errors.history, json)),
      evidenceCard(answers, errors, place, json),
      h("div", { class: "grid" }, quality(answers.quality, errors.quality, json, place), reference(answers, errors, json)),
      report && versions(report, json),
    ];
  },
  drawn(main, answers, place) {
    const arm = answers.evidence && chosen(answers.evidence.arms, place.query);
    if (arm) paintHeat(main, arm, answers.evidence);
    if (answers.history?.arms.length) drawHistory(answers.history);
  },
};

export const chosen = (arms, query) => arms.find((one) => `${one.version}` === query.version && one.arm === (query.arm ?? "")) ?? arms[0];

function head(name, report, place) {
  const labels = Object.entries(report?.labels ?? {}).map(([text, version]) => `${text} v${version}`).join(" · ");
  return h(
    "div",
    { class: "head" },
    h("div", { class: "crumb" }, h("a", { href: "#/" }, "Overview"), " / ", name),
    h("h1", null, name),
    h("p", null, [report?.description, report?.owner && `owner ${report.owner}`, labels, report?.pinned && `pinned to v${report.pinned}`].filter(Boolean).join(" — ")),
    h("div", { class: "end" }, choice("Time shown", RANGES, place.query.since ?? "24h", ["models", name], (since) => ({ ...place.query, since }))),
  );
}

function split(report, events, json) {
  const arms = report.traffic.filter((arm) => arm.percent > 0).sort((a, b) => a.version - b.version);
  const changes = [...(events?.events ?? [])].reverse().filter((event) => CHANGES.has(event.kind)).slice(0, 20);
  const about = arms.map((arm) => `${arm.name} v${arm.version} ${number(arm.percent)} %`).join(", ");
  return card(
    "Traffic split",
    { json: json.report, note: report.change ? `changing: ${report.change.why}` : report.assignment ? `keyed by ${keyed(report.assignment.key)}` : "" },
    arms.length
      ? h("div", { class: "split", role: "img", "aria-label": about }, arms.map((arm, place) => h("div", { style: { "--share": arm.percent, "--arm": armColour(place) } })))
      : empty("No version has traffic.", "Give it some: driftgate traffic set."),
    h("div", { class: "legend" }, arms.map((arm, place) => h("span", null, h("i", { class: "dot", style: { "--arm": armColour(place) } }), `${arm.name} · v${arm.version} `, h("b", null, `${number(arm.percent, 4)}\u2009%`))), (report.shadows ?? []).map((one) => h("span", { class: "quiet" }, `shadow v${one.version} copies ${number(one.percent)}\u2009%`))),
    Object.entries(report.ejected ?? {}).map(([version, why]) => h("p", { class: "error" }, `v${version} is ejected: ${why}`)),
    h("h3", null, "Recent changes"),
    changes.length ? h("ul", { class: "list" }, eventGroups(changes).slice(0, 5).map((group) => stepItem(group))) : h("p", { class: "quiet small" }, "None in the last 30 days."),
    h("a", { class: "small", href: link(["timeline"], { model: report.name }) }, "The whole timeline"),
  );
}

const keyed = (key) => (key.kind === "prediction-id" ? "prediction" : `${key.kind} ${key.name}`);

function charts(answer, error, json) {
  const body = error
    ? failed(error)
    : !answer
      ? h("p", { class: "quiet" }, "Loading…")
      : answer.arms.length
        ? [h("h3", null, "Rows per second"), legend(answer.arms.map(armName)), chartPlace("rows", "Rows per second of each arm over time"), h("h3", null, "Latency in the worker: p50, and p99 dotted"), chartPlace("latency", "Latency of each arm over time, median and 99th percentile")]
        : empty("No windows in this time.", "Choose a longer time, or send predictions: only logged rows are counted.");
  return card("Rows and latency", { json: json.history, note: answer && `steps of ${duration(answer.step_us / 1e6)}` }, body);
}

function drawHistory(answer) {
  const colours = palette();
  const seconds = answer.step_us / 1e6;
  const rows = [];
  const latency = [];
  answer.arms.forEach((arm, place) => {
    const name = label(armName(arm));
    const line = { color: colours[place % colours.length], width: 1.8 };
    const covered = arm.start_us.map((start) => Math.max(1, Math.min(seconds, (answer.end_us - start) / 1e6)));
    rows.push({ ...gapped(arm.start_us, arm.rows.map((count, at) => count / covered[at]), answer.step_us), name, line, mode: "lines", hovertemplate: "%{y:.3~g}" });
    latency.push({ ...gapped(arm.start_us, arm.p50_ms, answer.step_us), name: `${name} p50`, line, mode: "lines", hovertemplate: "%{y:.3~g} ms" });
    latency.push({ ...gapped(arm.start_us, arm.p99_ms, answer.step_us), name: `${name} p99`, line: { ...line, dash: "dot", width: 1.3 }, mode: "lines", hovertemplate: "%{y:.3~g} ms" });
  });
  const range = [new Date(answer.first_us / 1000), new Date(answer.end_us / 1000)];
  draw("rows", rows, { xaxis: { range, type: "date" } });
  draw("latency", latency, { xaxis: { range, type: "date" }, yaxis: { ticksuffix: " ms" } });
}

function evidenceCard(answers, errors, place, json) {
  const answer = answers.evidence;
  const arm = answer && chosen(answer.arms, place.query);
  const name = place.parts[1];
  const arms = answer?.arms.map((one) => [`${one.version}/${one.arm}`, armName(one)]) ?? [];
  const extra = arm && [choice("Arm", arms, `${arm.version}/${arm.arm}`, ["models", name], (value) => ({ ...place.query, version: value.split("/")[0], arm: value.slice(value.indexOf("/") + 1) })), heatScale()];
  const query = arm && { since: place.query.since, version: arm.version, arm: arm.arm };
  const body = errors.evidence
    ? failed(errors.evidence)
    : !answer
      ? empty("Loading…")
      : arm
        ? heatStrips(arm, answer, ["models", name], query)
        : empty("No evidence has been gathered in this time.", "A version is compared with its reference from its first whole minute on. See Reference below.");
  return card("Features by evidence of drift", { json: json.evidence, flush: true, extra }, body);
}

const SHOWN_RATES = 10;

function quality(answer, error, json, place) {
  const rates = (answer?.arms ?? [])
    .flatMap((arm) => arm.quality.map((rate) => ({ arm, rate })))
    .filter(({ rate }) => rate.hits || rate.log10_evidence >= 1)
    .sort((a, b) => b.rate.log10_evidence - a.rate.log10_evidence || b.rate.hits / b.rate.rows - a.rate.hits / a.rate.rows);
  const window = answer?.arms[0]?.start_us;
  const body = error
    ? failed(error)
    : !answer
      ? empty("Loading…")
      : !answer.arms.length
        ? empty("No window is complete yet.", "The first is some seconds after its time.")
        : rates.length
          ? [rateTable(rates.slice(0, SHOWN_RATES), place), rates.length > SHOWN_RATES ? h("details", { "data-key": "rates" }, h("summary", null, `${rates.length - SHOWN_RATES} more`), rateTable(rates.slice(SHOWN_RATES), place)) : null]
          : empty("Nothing is wrong in the last window.", "Nulls, wrong types, values out of range, new values, refusals and repeats are counted in each.");
  return card("Data quality", { json: json.quality, note: window ? `window of ${clock(window)}` : "", flush: true }, body);
}

function rateTable(rates, place) {
  const columns = [["What", { wide: true }], ["Arm"], ["Share", { num: true }], ["Rows", { num: true }], ["Evidence", { num: true }]];
  const rows = rates.map(({ arm, rate }) => ({
    key: `${arm.version}/${arm.arm}/${rate.reason}/${rate.feature}`,
    className: rate.log10_evidence >= 4 ? "moved" : null,
    cells: [
      [h("span", { class: "strong" }, words(rate.reason)), rate.feature && [" ", rateLink(arm, rate, place)], examples(rate)],
      armName(arm),
      percent(rate.rows ? rate.hits / rate.rows : 0),
      whole(rate.hits),
      evidence(Math.max(0, rate.log10_evidence)),
    ],
  }));
  return table(columns, rows, { label: "Data quality by reason" });
}

const rateLink = (arm, rate, { parts, query }) => h("a", { href: link(["models", parts[1], "feature"], { name: rate.feature, version: arm.version, arm: arm.arm, since: query.since }) }, rate.feature);
const examples = (rate) => (rate.examples.length ? h("div", { class: "why mono" }, rate.examples.map((one) => `“${one.value}” ×${one.count}`).join(", ")) : null);

const SOURCES = { training: "the rows given at publishing", traffic: "recorded traffic", none: "nothing yet" };
const WATCHES = {
  observing: "Observing: evidence is shown, and nobody is notified of drift.",
  proposed: "Proposed: two weeks have been seen; look at the back-test, then arm it.",
  armed: "Armed: drift notifies.",
};

function reference(answers, errors, json) {
  const answer = answers.power;
  const body = errors.power
    ? failed(errors.power)
    : !answer
      ? empty("Loading…")
      : answer.versions.length
        ? answer.versions.map(settings)
        : empty("No version has had rows in the last hour.", "Its reference and power are shown once it has.");
  return card("Reference and power", { json: json.power, note: "the smallest change that this traffic would show", flush: true }, body);
}

function settings(one) {
  const columns = [["Feature"], ["Smallest change seen within a day"], ["After rows", { num: true }]];
  const rows = one.features.map((feature) => ({ key: feature.name, cells: [feature.name, feature.smallest, feature.rows === null ? "–" : whole(feature.rows)] }));
  const facts = [
    ["compared with", `${SOURCES[one.source] ?? one.source}${one.reference_rows ? `, ${whole(one.reference_rows)} rows` : ""}`],
    ["in force since", one.from_us ? clock(one.from_us) : "the version's first row"],
    ["traffic", `${number(one.rows_per_s)} rows/s in the last hour`],
    ["notifies at", ["evidence ", evidence(one.log10_target), one.judged_by_hours ? ", by hours of the week" : ""]],
  ];
  return h(
    "div",
    { "data-key": `reference-${one.version}` },
    h("dl", { class: "about empty" }, h("dt", null, h("b", null, `v${one.version}`)), h("dd", null, one.reason || WATCHES[one.watch] || ""), facts.map(([name, value]) => [h("dt", null, name), h("dd", null, value)])),
    rows.length ? h("details", null, h("summary", null, `Smallest change of ${rows.length} features that would be seen`), table(columns, rows, { label: `Power of version ${one.version}`, className: "" })) : null,
  );
}

function versions(report, json) {
  const columns = [["Version", { wide: true }], ["State", { wide: true }], ["Traffic", { num: true }], ["Published"], ["Task"], ["Size", { num: true }], ["Memory", { num: true }]];
  const rows = report.versions.map((one) => ({
    key: `${one.version}`,
    cells: [
      [h("span", { class: "strong" }, `v${one.version}`), one.warnings.map((warning) => h("div", { class: "why" }, warning))],
      [pill(one.state), one.reason && h("div", { class: "why" }, one.reason)],
      one.percent ? `${number(one.percent, 4)}\u2009%` : "–",
      one.created_at ? clock(Date.parse(one.created_at) * 1000) : "–",
      one.task || "–",
      bytes(one.size_bytes),
      bytes(one.memory_bytes),
    ],
  }));
  return card("Versions", { json: json.report, flush: true }, rows.length ? table(columns, rows, { label: "Versions" }) : empty("No version is published."));
}

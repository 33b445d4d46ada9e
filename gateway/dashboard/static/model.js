// One model: its arms, traffic, versions, time series, features by evidence, data quality and reference.

import { alertItem, openAlerts } from "./alerts.js";
import { modelPath, path } from "./api.js";
import { h } from "./dom.js";
import { heatScale, heatStrips, paintHeat } from "./heat.js";
import { quality } from "./model_quality.js";
import { reference, versions } from "./model_reference.js";
import { charts, drawHistory, split } from "./model_traffic.js";
import { armRows, armTable } from "./overview.js";
import { slices } from "./model_slices.js";
import { armName, card, choice, empty, failed, pill } from "./parts.js";

export const RANGES = [
  ["1h", "1 h"],
  ["6h", "6 h"],
  ["24h", "24 h"],
  ["7d", "7 d"],
];
// The longer the time that is shown, the less often it is asked for: in every so many rounds.
export const roundsOf = (since = "24h") => ({ "1h": 2, "6h": 3, "24h": 6 })[since] ?? 60;

function paths({ parts, query }) {
  const model = parts[1];
  const since = query.since ?? "24h";
  return {
    report: modelPath(model),
    history: path(modelPath(model, "/history"), { since }),
    evidence: path(modelPath(model, "/evidence"), { since }),
    quality: modelPath(model, "/quality"),
    power: modelPath(model, "/power"),
    drift: modelPath(model, "/drift"),
    alerts: modelPath(model, "/alerts"),
    events: path("/api/events", { since: "30d", model, limit: 100 }),
    overview: "/api/overview",
  };
}

export const modelView = {
  title: ({ parts }) => parts[1] ?? "Model",
  sources(place) {
    const all = paths(place);
    const every = roundsOf(place.query.since);
    return {
      ...all,
      history: [all.history, every],
      evidence: [all.evidence, every],
      power: [all.power, 40],
      drift: [all.drift, 2],
      events: [all.events, 4],
    };
  },
  draw(answers, errors, place) {
    const name = place.parts[1];
    const { report } = answers;
    const model = answers.overview?.models.find((one) => one.name === name);
    const json = paths(place);
    return [
      head(name, report, place),
      failed(errors.report ?? errors.overview),
      report?.problems.map((problem) => h("p", { class: "error" }, problem)),
      alertLine(openAlerts(answers.alerts)),
      model &&
        card(
          "Arms",
          { json: json.overview, flush: true },
          armTable(armRows(model, answers.overview.at_us, true), "Arm"),
        ),
      report &&
        h(
          "div",
          { class: "grid" },
          split(report, answers.events, json),
          charts(answers.history, errors.history, json),
        ),
      evidenceCard(answers, errors, place, json),
      h(
        "div",
        { class: "grid" },
        quality(answers.quality, errors.quality, json, place),
        alertsCard(answers, errors, json),
      ),
      h("div", { class: "grid" }, slices(answers, errors, json, place), reference(answers, errors, json)),
      report && versions(report, json),
    ];
  },
  drawn(main, answers, place) {
    const arm = answers.evidence && chosen(answers, place);
    if (arm) paintHeat(main, arm, answers.evidence);
    if (answers.history?.arms.length) drawHistory(answers.history);
  },
};

// The arm that was chosen, else the one with most of the traffic.
function chosen({ evidence, overview }, { parts, query }) {
  const split = overview?.models.find((one) => one.name === parts[1])?.arms ?? [];
  const [first] = [...split].sort((a, b) => (b.percent ?? -1) - (a.percent ?? -1));
  const isIt = (one, arm) => `${one.version}` === `${arm?.version}` && one.arm === (arm?.arm ?? "");
  return (
    evidence.arms.find((one) => isIt(one, query)) ??
    evidence.arms.find((one) => isIt(one, first)) ??
    evidence.arms.at(-1)
  );
}

// One line at the top, as alerts themselves stand further down.
function alertLine(open) {
  const count = (severity) => open.filter((alert) => alert.severity === severity).length;
  const said = ["page", "ticket"].filter(count).map((one) => [pill(one, ` ×${count(one)}`), " "]);
  return (
    open.length > 0 &&
    h(
      "p",
      { class: "alert-line" },
      said,
      h("a", { href: "#open-alerts", "data-action": "jump" }, "Open alerts below"),
    )
  );
}

function alertsCard(answers, errors, json) {
  const open = openAlerts(answers.alerts);
  const body = errors.alerts
    ? failed(errors.alerts)
    : !answers.alerts
      ? empty("Loading…")
      : open.length
        ? h(
            "ul",
            { class: "list" },
            open.map((alert) => alertItem(alert, true)),
          )
        : empty("No alert is open.", "Harm, broken data and missing data are a page; drift alone is a ticket.");
  const options = { json: json.alerts, note: open.length ? `${open.length}` : "", flush: true, id: "open-alerts" };
  return card("Open alerts", options, body);
}

function head(name, report, place) {
  const labels = Object.entries(report?.labels ?? {})
    .map(([text, version]) => `${text} v${version}`)
    .join(" · ");
  return h(
    "div",
    { class: "head" },
    h("div", { class: "crumb" }, h("a", { href: "#/" }, "Overview"), " / ", name),
    h("h1", null, name),
    h(
      "p",
      null,
      [
        report?.description,
        report?.owner && `owner ${report.owner}`,
        labels,
        report?.pinned && `pinned to v${report.pinned}`,
      ]
        .filter(Boolean)
        .join(" — "),
    ),
    h(
      "div",
      { class: "end" },
      choice("Time shown", RANGES, place.query.since ?? "24h", ["models", name], (since) => ({
        ...place.query,
        since,
      })),
    ),
  );
}

function evidenceCard(answers, errors, place, json) {
  const answer = answers.evidence;
  const arm = answer && chosen(answers, place);
  const name = place.parts[1];
  const arms = answer?.arms.map((one) => [`${one.version}/${one.arm}`, armName(one)]) ?? [];
  const extra = arm && [
    choice("Arm", arms, `${arm.version}/${arm.arm}`, ["models", name], (value) => ({
      ...place.query,
      version: value.split("/")[0],
      arm: value.slice(value.indexOf("/") + 1),
    })),
    heatScale(),
  ];
  const note =
    arm && arm.watched > arm.features.length ? `the ${arm.features.length} strongest of ${arm.watched}` : "";
  const query = arm && { since: place.query.since, version: arm.version, arm: arm.arm };
  const body = errors.evidence
    ? failed(errors.evidence)
    : !answer
      ? empty("Loading…")
      : arm
        ? heatStrips(arm, answer, ["models", name], query)
        : empty(
            "No evidence has been gathered in this time.",
            "A version is compared with its reference from its first whole minute on. See Reference below.",
          );
  return card("Features by evidence of drift", { json: json.evidence, note, flush: true, extra }, body);
}

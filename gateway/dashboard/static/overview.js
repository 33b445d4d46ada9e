// The first page: one line for every arm, then alerts and what was changed.

import { path } from "./api.js";
import { alertItem, openAlerts } from "./alerts.js";
import { h } from "./dom.js";
import { clock, duration, milliseconds, number, percent, whole } from "./format.js";
import { armName, card, empty, eventGroups, stepItem, failed, meter, state, table } from "./parts.js";
import { link } from "./router.js";

const EVENTS = path("/api/events", { since: "7d", limit: 100 });

const ROUTINE = new Set([
  "version_found",
  "version_verified",
  "version_loaded",
  "version_unloaded",
  "generation",
]);

export const overviewView = {
  title: () => "Overview",
  sources: () => ({ overview: "/api/overview", events: EVENTS, alerts: "/api/alerts" }),
  draw(answers, errors) {
    const overview = answers.overview;
    return [
      h("div", { class: "head" }, h("h1", null, "Overview")),
      failed(errors.overview),
      overview && gatewayFacts(overview),
      overview && modelsCard(overview),
      h("div", { class: "grid" }, alertsCard(answers, errors), eventsCard(answers, errors)),
    ];
  },
};

function gatewayFacts({ gateway }) {
  const lag = gateway.monitor_lag_s;
  return [
    h(
      "div",
      { class: "facts", "aria-label": "The gateway" },
      fact(
        `${gateway.accepting} of ${gateway.workers}`,
        "workers accept",
        gateway.accepting < gateway.workers,
      ),
      fact(
        lag === null ? "silent" : duration(lag),
        lag === null ? "monitor" : "monitor behind",
        lag === null || lag > 30,
      ),
      fact(whole(gateway.dropped_rows), "rows dropped by the log", gateway.dropped_rows > 0),
      fact(whole(gateway.late_rows), "late rows", false),
      h("span", null, "generation ", h("b", null, whole(gateway.generation))),
    ),
    gateway.problems.map((problem) => h("p", { class: "error" }, problem)),
  ];
}

const fact = (value, text, isAlarm) =>
  h("span", { class: isAlarm && "alarm" }, h("b", null, value), ` ${text}`);

function modelsCard(overview) {
  const rows = overview.models.flatMap((model) => armRows(model, overview.at_us));
  const body = rows.length
    ? armTable(rows)
    : empty(
        "No model is published yet.",
        "Publish one with driftgate publish, or start the demo: driftgate demo.",
      );
  return card(
    "Models",
    { json: "/api/overview", note: `${overview.models.length} models`, flush: true },
    body,
  );
}

const columns = (first) => [
  [first, { wide: true }],
  ["State", { wide: true }],
  ["Traffic"],
  ["Rows/s", { num: true }],
  ["Errors", { num: true }],
  ["p50", { num: true }],
  ["p99", { num: true }],
  ["Strongest evidence", { num: true }],
  ["Last window", { num: true }],
];

export const armTable = (rows, first = "Model") => table(columns(first), rows, { label: "Models and arms" });

export function armRows(model, nowUs, isAlone = false) {
  if (!model.arms.length)
    return [
      {
        key: model.name,
        cells: [
          modelCell(model),
          h("span", { class: "quiet" }, model.problems[0] ?? "no version has traffic"),
        ],
      },
    ];
  return model.arms.map((arm, place) => ({
    key: `${model.name}/${arm.version}/${arm.arm}`,
    cells: [
      modelCell(model, arm, place > 0 || isAlone, isAlone),
      state(arm.state, nowUs),
      arm.percent === null
        ? "not in the split"
        : h("span", { class: "nowrap" }, meter(arm.percent / 100), ` ${number(arm.percent)}\u2009%`),
      ...figures(arm),
      [
        evidence(arm.log10_evidence),
        arm.strongest && arm.log10_evidence >= 1 ? h("div", { class: "small quiet" }, arm.strongest) : null,
      ],
      arm.window_us ? [`${whole(arm.window_rows)} rows, `, clock(arm.window_us, nowUs)] : "none",
    ],
  }));
}

function modelCell(model, arm, isFollowing, isAlone) {
  return [
    !isFollowing &&
      h("div", null, h("a", { class: "strong", href: link(["models", model.name]) }, model.name)),
    arm && h("div", { class: isAlone ? "strong nowrap" : "small quiet nowrap" }, armName(arm)),
    !isFollowing && model.owner && h("div", { class: "small quiet" }, model.owner),
  ];
}

function errorShare(traffic) {
  const errors = traffic.refused_per_s + traffic.failed_per_s;
  return traffic.requests_per_s ? percent(errors / traffic.requests_per_s) : "–";
}

// Traffic is counted by version, so that it is told with the arm of the split alone.
function figures({ percent: share, traffic }) {
  if (share === null) return ["–", "–", "–", "–"];
  return [
    number(traffic.rows_per_s),
    errorShare(traffic),
    milliseconds(traffic.p50_ms),
    milliseconds(traffic.p99_ms),
  ];
}

// Evidence is a factor; people read its power of ten.
export function evidence(log10) {
  if (log10 === null || log10 === undefined) return "–";
  return log10 < 0.05 ? "none" : h("span", { class: "nowrap" }, "10", h("sup", null, number(log10, 2)));
}

function alertsCard(answers, errors) {
  const open = openAlerts(answers.alerts);
  const body = open.length
    ? h(
        "ul",
        { class: "list" },
        open.slice(0, 6).map((alert) => alertItem(alert)),
      )
    : empty(errors.alerts ? errors.alerts.message : "No alert is open.", "");
  return card(
    "Open alerts",
    { json: "/api/alerts", note: open.length ? `${open.length}` : "", flush: true },
    body,
  );
}

function eventsCard(answers, errors) {
  const events = [...(answers.events?.events ?? [])].reverse().filter((event) => !ROUTINE.has(event.kind));
  const body = events.length
    ? h(
        "ul",
        { class: "list" },
        eventGroups(events)
          .slice(0, 7)
          .map((group) => stepItem(group)),
      )
    : empty(errors.events ? errors.events.message : "Nothing changed in the last seven days.");
  return card("Latest changes", { json: EVENTS, flush: true }, body);
}

// The first page: one line for every arm, then alerts and what was changed.

import { path } from "./api.js";
import { alertItem, openAlerts } from "./alerts.js";
import { h } from "./dom.js";
import { clock, duration, milliseconds, number, percent, whole } from "./format.js";
import {
  armName,
  card,
  choice,
  empty,
  eventGroups,
  failed,
  finder,
  matches,
  meter,
  states,
  stepItem,
  table,
} from "./parts.js";
import { link } from "./router.js";

const EVENTS = path("/api/events", { since: "7d", limit: 100 });

const URGENT = new Set(["bad_data", "drifting", "unusual_data", "stale"]);
const FEW_MODELS = 8;
const MOST_MODELS = 100;

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
  draw(answers, errors, { query }) {
    const overview = answers.overview;
    return [
      h("div", { class: "head" }, h("h1", null, "Overview")),
      failed(errors.overview),
      overview && gatewayFacts(overview),
      overview && modelsCard(overview, query),
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

function modelsCard(overview, query) {
  const all = overview.models;
  const urgent = all.filter(needsLook);
  const found = (query.show === "urgent" ? urgent : [...all].sort((a, b) => order(a) - order(b))).filter((model) =>
    matches([model.name, model.owner, model.description].join(" "), query.find),
  );
  const shown = found.slice(0, MOST_MODELS);
  const rows = shown.flatMap((model) => armRows(model, overview.at_us));
  const extra = all.length > FEW_MODELS && [
    choice(
      "Which models",
      [
        ["", `all ${all.length}`],
        ["urgent", `to look at ${urgent.length}`],
      ],
      query.show ?? "",
      [],
      (show) => ({ ...query, show }),
    ),
    finder("Find a model or owner", query.find),
  ];
  const more = found.length - shown.length;
  return card(
    "Models",
    { json: "/api/overview", note: extra ? "" : `${all.length}`, flush: true, extra },
    rows.length ? armTable(rows) : noModels(all.length),
    more > 0 && h("p", { class: "empty" }, `${more} more: type a part of a name or owner to find them.`),
  );
}

const noModels = (all) =>
  all
    ? empty("No model is like this.", "Type less, or show all.")
    : empty(
        "No model is published yet.",
        "Publish one with driftgate publish, or start the demo: driftgate demo.",
      );

const needsLook = (model) =>
  model.arms.some((arm) => URGENT.has(arm.state.word)) || (model.arms.length > 0 && model.problems.length > 0);

// What has to be looked at, then what has traffic, then what has none, each by name.
const order = (model) => (needsLook(model) ? 0 : model.arms.length ? 1 : 2);

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
      states(arm, nowUs),
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

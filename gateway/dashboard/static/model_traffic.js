// How a model's traffic is split and what moved it; rows and latency over time.

import { chartPlace, draw, gapped, label, lineMode, palette } from "./charts.js";
import { h } from "./dom.js";
import { duration, number } from "./format.js";
import { armColour, armName, card, empty, eventGroups, failed, legend, stepItem } from "./parts.js";
import { link } from "./router.js";

const CHANGES = new Set([
  "traffic",
  "rollback",
  "shadow",
  "pinned",
  "unpinned",
  "labels",
  "version_ejected",
  "change_refused",
  "traffic_asked",
]);

export function split(report, events, json) {
  const arms = report.traffic.filter((arm) => arm.percent > 0).sort((a, b) => a.version - b.version);
  const changes = [...(events?.events ?? [])]
    .reverse()
    .filter((event) => CHANGES.has(event.kind))
    .slice(0, 20);
  const about = arms.map((arm) => `${arm.name} v${arm.version} ${number(arm.percent)} %`).join(", ");
  return card(
    "Traffic split",
    {
      json: json.report,
      note: report.change
        ? `changing: ${report.change.why}`
        : report.assignment
          ? `keyed by ${keyed(report.assignment.key)}`
          : "",
    },
    arms.length
      ? h(
          "div",
          { class: "split", role: "img", "aria-label": about },
          arms.map((arm, place) =>
            h("div", { style: { "--share": arm.percent, "--arm": armColour(place) } }),
          ),
        )
      : empty("No version has traffic.", "Give it some: driftgate traffic set."),
    h(
      "div",
      { class: "legend" },
      arms.map((arm, place) =>
        h(
          "span",
          null,
          h("i", { class: "dot", style: { "--arm": armColour(place) } }),
          `${arm.name} · v${arm.version} `,
          h("b", null, `${number(arm.percent, 4)}\u2009%`),
        ),
      ),
      (report.shadows ?? []).map((one) =>
        h("span", { class: "quiet" }, `shadow v${one.version} copies ${number(one.percent)}\u2009%`),
      ),
    ),
    Object.entries(report.ejected ?? {}).map(([version, why]) =>
      h("p", { class: "error" }, `v${version} is ejected: ${why}`),
    ),
    h("h3", null, "Recent changes"),
    changes.length
      ? h(
          "ul",
          { class: "list" },
          eventGroups(changes)
            .slice(0, 5)
            .map((group) => stepItem(group)),
        )
      : h("p", { class: "quiet small" }, "None in the last 30 days."),
    h("a", { class: "small", href: link(["timeline"], { model: report.name }) }, "The whole timeline"),
  );
}

const keyed = (key) => (key.kind === "prediction-id" ? "prediction" : `${key.kind} ${key.name}`);

export function charts(answer, error, json) {
  const body = error
    ? failed(error)
    : !answer
      ? h("p", { class: "quiet" }, "Loading…")
      : answer.arms.length
        ? [
            h("h3", null, "Rows per second"),
            legend(answer.arms.map(armName)),
            chartPlace("rows", "Rows per second of each arm over time"),
            h("h3", null, "Latency in the worker: p50, and p99 dotted"),
            chartPlace("latency", "Latency of each arm over time, median and 99th percentile"),
          ]
        : empty(
            "No windows in this time.",
            "Choose a longer time, or send predictions: only logged rows are counted.",
          );
  return card(
    "Rows and latency",
    { json: json.history, note: answer && `steps of ${duration(answer.step_us / 1e6)}` },
    body,
  );
}

export function drawHistory(answer) {
  const colours = palette();
  const seconds = answer.step_us / 1e6;
  const rows = [];
  const latency = [];
  answer.arms.forEach((arm, place) => {
    const name = label(armName(arm));
    const line = { color: colours[place % colours.length], width: 1.8 };
    const covered = arm.start_us.map((start) =>
      Math.max(1, Math.min(seconds, (answer.end_us - start) / 1e6)),
    );
    rows.push({
      ...gapped(
        arm.start_us,
        arm.rows.map((count, at) => count / covered[at]),
        answer.step_us,
      ),
      name,
      line,
      mode: lineMode(arm.rows),
      hovertemplate: "%{y:.3~g}",
    });
    latency.push({
      ...gapped(arm.start_us, arm.p50_ms, answer.step_us),
      name: `${name} p50`,
      line,
      mode: lineMode(arm.rows),
      hovertemplate: "%{y:.3~g} ms",
    });
    latency.push({
      ...gapped(arm.start_us, arm.p99_ms, answer.step_us),
      name: `${name} p99`,
      line: { ...line, dash: "dot", width: 1.3 },
      mode: lineMode(arm.rows),
      hovertemplate: "%{y:.3~g} ms",
    });
  });
  const range = [new Date(answer.first_us / 1000), new Date(answer.end_us / 1000)];
  draw("rows", rows, { xaxis: { range, type: "date" } });
  draw("latency", latency, { xaxis: { range, type: "date" }, yaxis: { ticksuffix: " ms" } });
}

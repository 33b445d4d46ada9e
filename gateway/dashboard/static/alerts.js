// Alerts: what fires, what somebody looks at, and who is not told for a while.

import { h } from "./dom.js";
import { clock, words } from "./format.js";
import { card, empty, failed, pill } from "./parts.js";
import { link } from "./router.js";

const PATH = "/api/alerts";

export const openAlerts = (answer) => (answer?.alerts ?? []).filter((alert) => alert.state !== "resolved");

export const alertsView = {
  title: () => "Alerts",
  sources: () => ({ alerts: PATH }),
  draw(answers, errors) {
    const alerts = answers.alerts?.alerts ?? [];
    const open = openAlerts(answers.alerts);
    const over = alerts.filter((alert) => alert.state === "resolved");
    return [
      h("div", { class: "head" }, h("h1", null, "Alerts")),
      failed(errors.alerts),
      answers.alerts && [
        card("Open", { json: PATH, note: `${open.length}`, flush: true }, open.length ? list(open, true) : empty("No alert is open.", "Harm, broken data and missing data are a page; drift alone is a ticket.")),
        silences(answers.alerts.silences ?? []),
        over.length ? card("Over", { json: PATH, flush: true }, list(over, false)) : null,
      ],
    ];
  },
};

const list = (alerts, isOpen) => h("ul", { class: "list" }, alerts.map((alert) => alertItem(alert, isOpen)));

export function alertItem(alert, withActions = false) {
  const { finding } = alert;
  const about = [finding.model, finding.version && `v${finding.version}`, finding.arm, finding.segment].filter(Boolean).join(" · ");
  return h(
    "li",
    { "data-key": alert.id },
    h("div", { class: "controls" }, pill(alert.severity ?? severity(finding)), pill(alert.state), h("a", { class: "strong", href: link(["models", finding.model]) }, about), h("span", { class: "quiet" }, words(finding.rule))),
    h("div", null, finding.text),
    h("div", { class: "why" }, `first seen ${clock(alert.first_us)}${finding.onset_us ? `, began about ${clock(finding.onset_us)}` : ""}${alert.who ? ` — ${alert.who}: ${alert.why || "looks at it"}` : ""}`),
    finding.features?.length ? h("div", { class: "small" }, finding.features.map((one, place) => [place ? ", " : "", featureLink(finding, one), one.what ? ` ${one.what}` : ""])) : null,
    withActions && actions(alert),
  );
}

const severity = (finding) => (["harm", "broken_data", "no_data"].includes(finding.rule) ? "page" : "ticket");

const featureLink = (finding, one) => h("a", { href: link(["models", finding.model, "feature"], { name: one.feature, version: finding.version, arm: finding.arm }) }, one.feature);

function actions(alert) {
  if (alert.state === "resolved") return null;
  return h(
    "div",
    { class: "controls" },
    alert.state !== "acknowledged" && h("button", { type: "button", "data-action": "ack", "data-id": alert.id }, "Acknowledge"),
    h("button", { type: "button", "data-action": "silence", "data-model": alert.finding.model, "data-rule": alert.finding.rule }, "Silence…"),
  );
}

function silences(all) {
  const body = all.length
    ? h("ul", { class: "list" }, all.map((one) => h("li", { "data-key": one.id }, h("span", { class: "strong" }, one.model), one.rule ? ` · ${words(one.rule)}` : "", ` until ${clock(one.until_us)} `, h("span", { class: "why" }, `${one.who}: ${one.why}`), " ", h("button", { type: "button", "data-action": "unsilence", "data-id": one.id }, "End it"))))
    : empty("Nobody is silenced.");
  return card("Silences", { json: PATH, flush: true }, body);
}

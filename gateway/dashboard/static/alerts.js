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
        card(
          "Open",
          { json: PATH, note: `${open.length}`, flush: true },
          open.length
            ? list(open, true)
            : empty(
                "No alert is open.",
                "Harm, broken data and missing data are a page; drift alone is a ticket.",
              ),
        ),
        silences(answers.alerts.silences ?? []),
        over.length ? card("Over", { json: PATH, flush: true }, list(over, false)) : null,
      ],
    ];
  },
};

const list = (alerts, isOpen) =>
  h(
    "ul",
    { class: "list" },
    alerts.map((alert) => alertItem(alert, isOpen)),
  );

export function alertItem(alert, withActions = false) {
  const about = [alert.model, alert.version && `v${alert.version}`, alert.arm, alert.segment]
    .filter(Boolean)
    .join(" · ");
  return h(
    "li",
    { "data-key": alert.id },
    h(
      "div",
      { class: "controls" },
      pill(alert.severity),
      pill(alert.state),
      h("a", { class: "strong", href: link(["models", alert.model]) }, about),
      h("span", { class: "quiet" }, words(alert.rule)),
    ),
    h("div", null, alert.text),
    h(
      "div",
      { class: "why" },
      `first seen ${clock(alert.first_us)}${alert.onset_us ? `, began about ${clock(alert.onset_us)}` : ""}${alert.who ? ` — ${alert.who}: ${alert.why || "looks at it"}` : ""}`,
    ),
    alert.features?.length
      ? h(
          "div",
          { class: "small" },
          alert.features.map((one, place) => [
            place ? ", " : "",
            [named(alert, one), one.what].filter(Boolean).map((text, at) => [at ? " " : "", text]),
          ]),
        )
      : null,
    withActions && actions(alert),
  );
}

// What is about all rows names no feature; a pair of features has no page of its own.
const named = (alert, one) =>
  one.feature && alert.rule !== "dependence" ? featureLink(alert, one) : one.feature;

const featureLink = (alert, one) =>
  h(
    "a",
    {
      href: link(["models", alert.model, "feature"], {
        name: one.feature,
        version: alert.version,
        arm: alert.arm,
      }),
    },
    one.feature,
  );

function actions(alert) {
  if (alert.state === "resolved") return null;
  return h(
    "div",
    { class: "controls" },
    alert.state !== "acknowledged" &&
      h(
        "button",
        { type: "button", "data-action": "ack", "data-id": alert.id, "data-model": alert.model },
        "Acknowledge",
      ),
    h("button", { type: "button", "data-action": "silence", "data-model": alert.model }, "Silence…"),
  );
}

function silences(all) {
  const body = all.length
    ? h(
        "ul",
        { class: "list" },
        all.map((one) =>
          h(
            "li",
            { "data-key": one.id },
            h("span", { class: "strong" }, one.model),
            one.rule ? ` · ${words(one.rule)}` : "",
            ` until ${clock(one.until_us)} `,
            h("span", { class: "why" }, `${one.who}: ${one.why}`),
            " ",
            h(
              "button",
              { type: "button", "data-action": "unsilence", "data-id": one.id, "data-model": one.model },
              "End it",
            ),
          ),
        ),
      )
    : empty("Nobody is silenced.");
  return card("Silences", { json: PATH, flush: true }, body);
}

// What happened: who changed what, when and why.

import { path } from "./api.js";
import { h } from "./dom.js";
import { card, choice, empty, eventGroups, stepItem, failed } from "./parts.js";

const RANGES = [
  ["24h", "24 h"],
  ["7d", "7 days"],
  ["30d", "30 days"],
];

const source = (query) => path("/api/events", { since: query.since ?? "7d", model: query.model, limit: 300 });

export const eventsView = {
  title: () => "Timeline",
  sources: ({ query }) => ({ events: source(query) }),
  draw(answers, errors, { query }) {
    const events = [...(answers.events?.events ?? [])].reverse();
    const list = events.length
      ? h(
          "ul",
          { class: "list" },
          eventGroups(events).map((group) => stepItem(group)),
        )
      : empty(
          "Nothing happened in this time.",
          "Changes of models, traffic, settings and workers are kept here, with who made them.",
        );
    return [
      h(
        "div",
        { class: "head" },
        h("h1", null, "Timeline"),
        h(
          "div",
          { class: "end" },
          choice("Since", RANGES, query.since ?? "7d", ["timeline"], (since) => ({ ...query, since })),
        ),
      ),
      failed(errors.events),
      card(
        "Changes",
        { json: source(query), note: answers.events?.more ? "older ones are left out" : "", flush: true },
        list,
      ),
    ];
  },
};

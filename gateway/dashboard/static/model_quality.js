// Data quality of a model's arms: what is wrong in the last complete windows, worst first.

import { h } from "./dom.js";
import { clock, percent, whole, words } from "./format.js";
import { evidence } from "./overview.js";
import { armName, card, empty, failed, table } from "./parts.js";
import { link } from "./router.js";

const SHOWN_RATES = 10;

export function quality(answer, error, json, place) {
  const rates = (answer?.arms ?? [])
    .flatMap((arm) => arm.quality.map((rate) => ({ arm, rate })))
    .filter(({ rate }) => rate.hits || rate.log10_evidence >= 1)
    .sort(
      (a, b) =>
        b.rate.log10_evidence - a.rate.log10_evidence ||
        b.rate.hits / b.rate.rows - a.rate.hits / a.rate.rows,
    );
  const window = answer?.arms[0]?.start_us;
  const body = error
    ? failed(error)
    : !answer
      ? empty("Loading…")
      : !answer.arms.length
        ? empty(
            "No window was complete in the last hour.",
            "One is complete some seconds after its time, if it has rows.",
          )
        : rates.length
          ? [
              rateTable(rates.slice(0, SHOWN_RATES), place),
              rates.length > SHOWN_RATES
                ? h(
                    "details",
                    { "data-key": "rates" },
                    h("summary", null, `${rates.length - SHOWN_RATES} more`),
                    rateTable(rates.slice(SHOWN_RATES), place),
                  )
                : null,
            ]
          : empty(
              "Nothing is wrong in the last window.",
              "Nulls, wrong types, values out of range, new values, refusals and repeats are counted in each.",
            );
  return card(
    "Data quality",
    { json: json.quality, note: window ? `window of ${clock(window)}` : "", flush: true },
    body,
  );
}

function rateTable(rates, place) {
  const columns = [
    ["What", { wide: true }],
    ["Arm"],
    ["Share", { num: true }],
    ["Rows", { num: true }],
    ["Evidence", { num: true }],
  ];
  const rows = rates.map(({ arm, rate }) => ({
    key: `${arm.version}/${arm.arm}/${rate.reason}/${rate.feature}`,
    className: rate.log10_evidence >= 4 ? "moved" : null,
    cells: [
      [
        h("span", { class: "strong" }, words(rate.reason)),
        rate.feature && [" ", rateLink(arm, rate, place)],
        examples(rate),
      ],
      armName(arm),
      percent(rate.rows ? rate.hits / rate.rows : 0),
      whole(rate.hits),
      evidence(Math.max(0, rate.log10_evidence)),
    ],
  }));
  return table(columns, rows, { label: "Data quality by reason" });
}

const rateLink = (arm, rate, { parts, query }) =>
  h(
    "a",
    {
      href: link(["models", parts[1], "feature"], {
        name: rate.feature,
        version: arm.version,
        arm: arm.arm,
        since: query.since,
      }),
    },
    rate.feature,
  );
const examples = (rate) =>
  rate.examples.length
    ? h("div", { class: "why mono" }, rate.examples.map((one) => `“${one.value}” ×${one.count}`).join(", "))
    : null;

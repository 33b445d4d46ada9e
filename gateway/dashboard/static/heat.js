// The heat strip: one line for each feature, time from left to right, evidence as colour and as a number.

import { h } from "./dom.js";
import { clock, number } from "./format.js";
import { evidence } from "./overview.js";
import { link } from "./router.js";

// From the ground of the page to one strong colour: lightness alone tells how much, whatever colours one sees.
const SHADES = {
  light: [
    [238, 241, 244],
    [240, 205, 120],
    [221, 123, 20],
    [143, 52, 0],
    [66, 20, 0],
  ],
  dark: [
    [31, 40, 50],
    [92, 64, 20],
    [190, 122, 10],
    [245, 190, 70],
    [255, 243, 200],
  ],
};
const LEAST = 1;
const FULL = 6;

export function heatStrips(arm, answer, parts, query) {
  const features = [...arm.features].sort(
    (a, b) => (b.log10_evidence ?? -1) - (a.log10_evidence ?? -1) || most(b) - most(a) || a.place - b.place,
  );
  return [
    h(
      "div",
      { class: "strips", "data-key": "strips" },
      features.map((feature) => strip(feature, parts, query)),
    ),
    h(
      "div",
      { class: "strip axis", "aria-hidden": "true" },
      h("span"),
      h("span", null, h("i", null, clock(answer.first_us)), h("i", null, clock(answer.end_us))),
      h("span"),
    ),
    h(
      "p",
      { class: "readout", id: "heat-readout", "data-keep": true },
      "Evidence as a factor: ten thousand is strong, and without drift there is hardly ever so much.",
    ),
  ];
}

const most = (feature) => Math.max(-1, ...feature.values.map((value) => value ?? -1));

function strip(feature, parts, query) {
  const address = link([...parts, "feature"], { ...query, name: feature.name });
  return h(
    "div",
    { class: feature.is_named ? "strip named" : "strip", "data-key": feature.name },
    h("a", { href: address, title: feature.name }, feature.name),
    h("canvas", {
      "data-keep": true,
      "data-key": feature.name,
      "data-feature": feature.name,
      "aria-hidden": "true",
    }),
    h("span", { class: "num" }, evidence(feature.log10_evidence)),
  );
}

export const heatScale = () =>
  h(
    "span",
    { class: "scale" },
    "10",
    h("canvas", { "data-keep": true, "data-scale": true, "aria-hidden": "true" }),
    evidence(FULL),
  );

// Paint after the lines are on the page.
export function paintHeat(root, arm, answer) {
  const values = new Map(arm.features.map((feature) => [feature.name, feature.values]));
  const steps = Math.max(1, Math.round((answer.end_us - answer.first_us) / answer.step_us));
  const columns = arm.start_us.map((start) => Math.floor((start - answer.first_us) / answer.step_us));
  for (const canvas of root.querySelectorAll("canvas[data-feature]")) {
    paint(canvas, steps, columns, values.get(canvas.dataset.feature) ?? []);
    canvas.onpointermove = (event) => readOut(event, canvas, arm, answer, steps, columns, values);
  }
  const scale = root.querySelector("canvas[data-scale]");
  if (scale)
    paint(
      scale,
      32,
      [...Array(32).keys()],
      [...Array(32).keys()].map((place) => LEAST + (place / 31) * (FULL - LEAST)),
    );
}

function paint(canvas, steps, columns, values) {
  if (canvas.width !== steps) canvas.width = steps;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, steps, 1);
  columns.forEach((column, place) => {
    if (values[place] === null || values[place] === undefined) return;
    context.fillStyle = shade((values[place] - LEAST) / (FULL - LEAST));
    context.fillRect(column, 0, 1, 1);
  });
}

function shade(share) {
  const shades = SHADES[matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"];
  const at = Math.max(0, Math.min(1, share)) * (shades.length - 1);
  const low = shades[Math.floor(at)];
  const high = shades[Math.ceil(at)];
  const mixed = low.map((part, place) => Math.round(part + (high[place] - part) * (at % 1)));
  return `rgb(${mixed.join(" ")})`;
}

function readOut(event, canvas, arm, answer, steps, columns, values) {
  const column = Math.floor((event.offsetX / canvas.clientWidth) * steps);
  const place = columns.indexOf(column);
  const value = values.get(canvas.dataset.feature)?.[place];
  const time = clock(answer.first_us + column * answer.step_us);
  const said =
    place < 0
      ? "no rows"
      : value === null || value === undefined
        ? "not known"
        : `10^${number(Math.max(0, value), 2)}`;
  document.getElementById("heat-readout").textContent =
    `${canvas.dataset.feature} at ${time}: evidence ${said}`;
}

// What clicks do beyond following a link: JSON with a token, the token itself, alerts.

import { Refused, get, modelPath, post, remove, token } from "./api.js";
import { h } from "./dom.js";

const ACTIONS = {
  json: showJson,
  token: (event, target, again) => askForToken(again),
  jump,
  ack: acknowledge,
  silence,
  unsilence,
};

export function act(event, again) {
  const target = event.target.closest?.("[data-action]");
  const action = target && ACTIONS[target.dataset.action];
  if (action) action(event, target, again);
}

// A link cannot carry a token, so with one the document is shown here.
async function showJson(event, target) {
  if (!token.get() || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const path = target.getAttribute("href");
  const text = await get(path).then(
    (found) => JSON.stringify(found, null, 2),
    (error) => error.message,
  );
  dialog(
    null,
    h("h2", null, path),
    h("pre", { tabindex: "0" }, text),
    buttons(h("button", { type: "submit", class: "main" }, "Close")),
  );
}

// The address after "#" is the page's, so that places in a page are reached by this.
function jump(event, target) {
  event.preventDefault();
  const place = document.getElementById(target.getAttribute("href").slice(1));
  place?.scrollIntoView();
  place?.focus({ preventScroll: true });
}

export function askForToken(done) {
  if (document.querySelector("dialog[open]")) return;
  const why = token.get()
    ? "This token was revoked, has expired, or is of another gateway."
    : "This gateway asks for an access token.";
  const field = h("input", { id: "token", type: "password", autocomplete: "off", required: true });
  const form = dialog(
    () => {
      token.set(field.value.trim());
      done();
    },
    h("h2", null, why),
    h(
      "p",
      { class: "quiet small" },
      "A token with a read scope, such as read:*, is enough to look. It stays in this tab until it is closed.",
    ),
    h("label", { for: "token" }, "Access token"),
    field,
    buttons(h("button", { type: "submit", class: "main" }, "Continue")),
  );
  form.parentNode.classList.add("small-dialog");
}

function acknowledge(event, target, again) {
  const why = h("input", {
    id: "why",
    required: true,
    maxlength: "500",
    placeholder: "What you found, or that you look at it",
  });
  ask(
    "Acknowledge this alert",
    [
      h("p", { class: "quiet small" }, "Its evidence begins anew; it fires again if the drift goes on."),
      h("label", { for: "why" }, "Why"),
      why,
    ],
    () =>
      post(modelPath(target.dataset.model, `/alerts/${encodeURIComponent(target.dataset.id)}/acknowledge`), {
        why: why.value,
      }),
    again,
  );
}

function silence(event, target, again) {
  const why = h("input", { id: "why", required: true, maxlength: "500" });
  const hours = h(
    "select",
    { id: "hours" },
    [
      ["1", "1 hour"],
      ["4", "4 hours"],
      ["24", "1 day"],
      ["168", "1 week"],
    ].map(([value, text]) => h("option", { value, selected: value === "4" }, text)),
  );
  ask(
    `Silence ${target.dataset.model}`,
    [
      h(
        "p",
        { class: "quiet small" },
        "Nobody is told of this model's alerts for so long; everything is still recorded.",
      ),
      h("label", { for: "why" }, "Reason"),
      why,
      h("label", { for: "hours" }, "For"),
      hours,
    ],
    () =>
      post(modelPath(target.dataset.model, "/silences"), {
        why: why.value,
        for_s: Number(hours.value) * 3600,
      }),
    again,
  );
}

function unsilence(event, target, again) {
  ask(
    "End this silence",
    [],
    () => remove(modelPath(target.dataset.model, `/silences/${encodeURIComponent(target.dataset.id)}`)),
    again,
  );
}

function ask(title, fields, send, again) {
  const problem = h("p", { class: "error", role: "alert", hidden: true });
  const form = dialog(
    async () => {
      try {
        await send();
      } catch (error) {
        problem.textContent =
          error instanceof Refused ? error.message : "The gateway cannot be reached; try again.";
        problem.hidden = false;
        return false;
      }
      again();
    },
    h("h2", null, title),
    fields,
    problem,
    buttons(
      h("button", { type: "button", "data-close": true }, "Cancel"),
      h("button", { type: "submit", class: "main" }, "Continue"),
    ),
  );
  form.parentNode.classList.add("small-dialog");
}

const buttons = (...all) => h("div", { class: "row" }, all);

// `done` is called when the form is sent; the dialog stays if it returns false.
function dialog(done, ...body) {
  const before = document.activeElement;
  const form = h("form", { method: "dialog" }, body);
  const box = h("dialog", null, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if ((await done?.()) !== false) box.close();
  });
  form.querySelector("[data-close]")?.addEventListener("click", () => box.close());
  box.addEventListener("close", () => {
    box.remove();
    before?.focus?.();
  });
  document.body.append(box);
  box.showModal();
  return form;
}

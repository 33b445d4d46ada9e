// Asking the gateway. The token, if one is needed, lives in this tab's session storage and nowhere else.

const TOKEN = "driftgate-token";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

async function ask(method, path, body, signal) {
  const headers = { accept: "application/json" };
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const options = { method, headers, signal, credentials: "omit", redirect: "error", cache: "no-store" };
  const response = await fetch(
    path,
    body === undefined ? options : { ...options, body: JSON.stringify(body) },
  );
  const text = await response.text();
  if (!response.ok) throw new Refused(response.status, reason(text) || `status ${response.status}`);
  return JSON.parse(text);
}

export const get = (path, signal) => ask("GET", path, undefined, signal);
export const remove = (path) => ask("DELETE", path);
export const post = (path, body) => ask("POST", path, body);

function reason(text) {
  try {
    return String(JSON.parse(text).error ?? "");
  } catch {
    return "";
  }
}

// "/api/models/m/feature" and {name: "x"} to one path; empty values are left out.
export function path(base, query = {}) {
  const given = Object.entries(query).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  return given.length ? `${base}?${new URLSearchParams(given)}` : base;
}

export const modelPath = (model, rest = "") => `/api/models/${encodeURIComponent(model)}${rest}`;

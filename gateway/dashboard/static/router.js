// The address after "#" names the page: #/models/fraud?since=6h

export function here() {
  const [place, query = ""] = location.hash.replace(/^#/, "").split("?");
  const parts = place.split("/").filter(Boolean).map(decoded);
  return { parts, query: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function link(parts, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value);
  const place = `#/${parts.map(encodeURIComponent).join("/")}`;
  return given.length ? `${place}?${new URLSearchParams(given)}` : place;
}

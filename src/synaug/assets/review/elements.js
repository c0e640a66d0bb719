// Elements of the page: find them, make them, fill them.

export const TINY = 128; // pixels; smaller images are enlarged without smoothing

export const $ = (id) => document.getElementById(id);

export function element(tag, className = "", text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

export function picture(source, text) {
  const node = document.createElement("img");
  node.decoding = "async";
  node.draggable = false;
  node.alt = text;
  node.addEventListener("load", () => node.classList.toggle("tiny", node.naturalWidth <= TINY));
  node.src = source;
  return node;
}

// Offer [value, text] pairs; keep the selected one if it is still offered.
export function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => Object.assign(element("option", "", text), { value })));
  if (options.some(([value]) => value === before)) select.value = before;
}

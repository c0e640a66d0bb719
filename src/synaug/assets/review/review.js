// Show the images of a run in a grid that is moved through and decided with keys.
// Only the rows in view exist in the page, so that 100,000 images scroll like 100.

import { MARKS, act, canUndo, decision, isIn, note, replaceDecisions, say, watchDecisions } from "./decisions.js";
import { $, TINY, element, fill, picture } from "./elements.js";
import { CAPTION, GAP, HEAD, firstRowAt, isHead, laidOut, measured, rowOf, toClass, vertically } from "./layout.js";

const OVERSCAN = 2; // rows

let catalog, images;
let order = []; // positions in images, as they are shown
let rows = []; // of the grid; see layout.js
let cursor = 0, anchor = 0, columns = 1, side = 100;
let picked = new Set(); // places in order
const made = new Map(); // rows in the page, by number
const imageAt = (place) => images[order[place]];

// ---------------------------------------------------------------- what is shown, in which order

const SHOWN = {
  "": ["every image", () => true],
  open: ["not decided", (image) => !decision(image)],
  decided: ["decided", (image) => decision(image) !== ""],
  in: ["in the set", isIn],
  out: ["not in the set", (image) => !isIn(image)],
};

function arrange(at = "") {
  const label = $("class").value, wanted = $("find").value.trim().toLowerCase();
  const [kind, reason] = $("show").value.split(":");
  const passes = reason === undefined ? SHOWN[kind][1] : (image) => image.reason === reason;
  order = [];
  images.forEach((image, place) => {
    if (label !== "" && image.label !== Number(label)) return;
    if (wanted && !image.text.includes(wanted)) return;
    if (passes(image)) order.push(place);
  });
  const [score, direction] = $("sort").value.split(":");
  if (score !== "") {
    const value = (place) => images[place].scores[Number(score)] ?? Infinity * Number(direction);
    order.sort((a, b) => images[a].label - images[b].label || Number(direction) * (value(a) - value(b)) || a - b);
  }
  picked = new Set();
  cursor = Math.max(0, order.findIndex((place) => images[place].name === at)); // the first if it is not shown
  anchor = cursor;
  layOut();
  $("grid").scrollTop = 0;
  follow();
}

function layOut() {
  const width = $("grid").clientWidth - parseFloat(getComputedStyle($("grid")).paddingLeft) * 2;
  ({ columns, side } = measured(width, matchMedia("(max-width: 46rem)").matches));
  const found = laidOut(order.map((place) => images[place].label), columns, side);
  rows = found.rows;
  $("canvas").style.height = `${found.height}px`;
  $("empty").hidden = order.length > 0;
  made.forEach((element) => element.remove());
  made.clear();
  draw();
}

function draw() {
  const top = $("grid").scrollTop, bottom = top + $("grid").clientHeight;
  const first = Math.max(0, firstRowAt(rows, top) - OVERSCAN);
  let last = first;
  while (last < rows.length && rows[last].y < bottom) last++;
  last = Math.min(rows.length, last + OVERSCAN);
  for (const [number, element] of made) {
    if (number < first || number >= last) {
      element.remove();
      made.delete(number);
    }
  }
  for (let number = first; number < last; number++) {
    if (!made.has(number)) {
      made.set(number, rowElement(rows[number]));
      $("canvas").append(made.get(number));
    }
  }
}

function rowElement(row) {
  const node = element("div", isHead(row) ? "row head" : "row");
  node.style.transform = `translateY(${row.y}px)`;
  node.style.height = `${row.height}px`;
  if (isHead(row)) {
    const number = `${row.number.toLocaleString("en")} ${row.number === 1 ? "image" : "images"}`;
    node.append(element("h2", "", catalog.classes[row.label].name), element("span", "", number));
    return node;
  }
  for (let place = row.from; place < row.to; place++) node.append(tileElement(place));
  return node;
}

function tileElement(place) {
  const image = imageAt(place), tile = element("div");
  tile.style.width = `${side}px`;
  tile.id = `tile-${place}`;
  tile.dataset.place = place;
  tile.setAttribute("role", "option");
  tile.append(picture(`thumbnail/image/${encodeURIComponent(image.name)}`, ""), element("span", "badge"), element("span", "caption"));
  paint(tile);
  return tile;
}

function paint(tile) {
  const place = Number(tile.dataset.place), image = imageAt(place), decided = decision(image);
  const names = ["tile", isIn(image) ? "in" : "out", { accept: "yes", reject: "no" }[decided] ?? ""];
  if (picked.has(place)) names.push("picked");
  if (place === cursor) names.push("cursor");
  tile.className = names.join(" ");
  tile.setAttribute("aria-selected", String(place === cursor || picked.has(place)));
  const sorted = $("sort").value.split(":")[0];
  const score = sorted === "" ? undefined : image.scores[Number(sorted)];
  const reason = image.reason && !image.accepted ? catalog.reasons[image.reason] : "";
  tile.querySelector(".badge").textContent = MARKS[decided] ?? "";
  tile.querySelector(".caption").textContent = [score === undefined ? "" : shown(score), reason || image.group].filter(Boolean).join(" · ");
  tile.setAttribute("aria-label", `${image.name}: ${decided || (image.accepted ? "accepted by the checks" : reason)}`);
}

const shown = (score) => (score === null ? "n/a" : Number(score.toPrecision(3)).toString());

function repaint() {
  made.forEach((node) => node.querySelectorAll(".tile").forEach(paint));
  const image = imageAt(cursor);
  const decided = images.filter((each) => decision(each)).length;
  $("counts").textContent = `${order.length.toLocaleString("en")} shown, ${decided.toLocaleString("en")} decided`;
  $("undo").disabled = !canUndo();
  for (const id of ["accept", "reject", "clear", "zoom-button"]) $(id).disabled = !image;
  $("grid").setAttribute("aria-activedescendant", image ? `tile-${cursor}` : "");
  $("about").replaceChildren(...(image ? description(image) : []));
  showReal(image?.label);
  if ($("zoom").open) fillZoom();
}

function description(image) {
  const scores = catalog.scores.map((name, place) => [name, image.scores[place]]).filter(([, score]) => score !== null);
  const parts = [
    decision(image) ? `decision: ${decision(image)}` : image.accepted ? "accepted by the checks" : catalog.reasons[image.reason],
    picked.size > 1 ? `${picked.size.toLocaleString("en")} selected` : "",
    image.prompt, image.group, ...scores.map(([name, score]) => `${name.replaceAll("_", " ")} ${shown(score)}`), note(image) && `note: ${note(image)}`,
  ];
  return [element("b", "", image.name), document.createTextNode(` ${parts.filter(Boolean).join(" · ")}`)];
}

let realOf;
function showReal(label) {
  if (label === realOf) return;
  realOf = label;
  $("real-title").textContent = label === undefined ? "Real" : `Real ${catalog.classes[label].name}`;
  $("real").replaceChildren(...realPictures(label, "thumbnail"));
}

const realPictures = (label, size) =>
  (catalog.classes[label]?.real ?? []).map((row, number) =>
    picture(`${size}/real/${row}`, `Real ${catalog.classes[label].name}, example ${number + 1}`));

// ---------------------------------------------------------------- moving

function moveTo(place, isSelecting = false) {
  cursor = Math.min(Math.max(place, 0), Math.max(order.length - 1, 0));
  if (!isSelecting) {
    anchor = cursor;
    picked = new Set();
  } else {
    const [low, high] = [Math.min(anchor, cursor), Math.max(anchor, cursor)];
    picked = new Set(Array.from({ length: high - low + 1 }, (_, step) => low + step));
  }
  follow();
}

function follow() {
  const number = rowOf(rows, cursor), row = rows[number], grid = $("grid");
  if (row) {
    const top = row.y - (isHead(rows[number - 1]) ? HEAD : 0);
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (row.y + row.height > grid.scrollTop + grid.clientHeight) grid.scrollTop = row.y + row.height - grid.clientHeight;
  }
  draw();
  repaint();
}

const chosen = () => (picked.size ? [...picked] : order.length ? [cursor] : []);

function decide(what) {
  const places = chosen();
  act(what, places.map(imageAt));
  if (places.length === 1 && what !== "clear" && cursor < order.length - 1) moveTo(cursor + 1);
}

// ---------------------------------------------------------------- one image, enlarged

function fillZoom() {
  const image = imageAt(cursor);
  if (!image || $("zoom").dataset.name === image.name + decision(image)) return;
  $("zoom").dataset.name = image.name + decision(image);
  const source = `whole/image/${encodeURIComponent(image.name)}`;
  if (!$("zoom-image").src.endsWith(source)) $("zoom-image").src = source;
  $("zoom-image").alt = image.name;
  $("zoom-about").replaceChildren(...description(image));
  $("note").value = note(image);
  if ($("zoom-real").dataset.label !== String(image.label)) $("zoom-real").replaceChildren(...realPictures(image.label, "thumbnail"));
  $("zoom-real").dataset.label = image.label;
}

function zoom(isForNote = false) {
  if (!order.length) return;
  delete $("zoom").dataset.name;
  if (!$("zoom").open) $("zoom").showModal();
  fillZoom();
  (isForNote ? $("note") : $("zoom-close")).focus();
}

$("zoom-image").addEventListener("load", ({ target }) => target.classList.toggle("tiny", target.naturalWidth <= TINY));
$("note").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault(); // else the key would press the button that gets the focus
  act("note", [imageAt(cursor)], { note: $("note").value });
  $("zoom-close").focus();
});

// ---------------------------------------------------------------- keys, mouse, touch

const page = () => columns * Math.max(1, Math.floor($("grid").clientHeight / (side + CAPTION + GAP)));
const KEYS = {
  a: () => decide("accept"), r: () => decide("reject"), c: () => decide("clear"), u: () => act("undo"),
  n: () => zoom(true), Enter: () => zoom(), " ": () => zoom(), "/": () => $("find").focus(), "?": () => $("help").showModal(),
  "[": () => moveTo(toClass(rows, cursor, -1)), "]": () => moveTo(toClass(rows, cursor, 1)),
  ArrowLeft: (shift) => moveTo(cursor - 1, shift), ArrowRight: (shift) => moveTo(cursor + 1, shift),
  ArrowUp: (shift) => moveTo(vertically(rows, cursor, -1), shift), ArrowDown: (shift) => moveTo(vertically(rows, cursor, 1), shift),
  PageUp: (shift) => moveTo(cursor - page(), shift), PageDown: (shift) => moveTo(cursor + page(), shift),
  Home: (shift) => moveTo(0, shift), End: (shift) => moveTo(order.length - 1, shift),
  Escape: () => moveTo(cursor),
};

addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, select, textarea");
  if (isTyping && event.key === "Escape" && event.target.id === "find") $("grid").focus();
  if (isTyping || $("help").open || event.altKey) return;
  const isControl = event.ctrlKey || event.metaKey, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if ($("zoom").open && ["Enter", " ", "Escape", "/", "?"].includes(key)) return;
  if (isControl && key === "a") {
    picked = new Set(order.keys());
    repaint();
  } else if (isControl && key === "z") act("undo");
  else if (isControl || !(key in KEYS)) return;
  else if (event.target.matches("button") && (key === "Enter" || key === " ")) return;
  else KEYS[key](event.shiftKey && event.key.length > 1);
  event.preventDefault();
});

$("canvas").addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile) return;
  const place = Number(tile.dataset.place);
  if (event.ctrlKey || event.metaKey) {
    if (!picked.size) picked.add(cursor);
    if (!picked.delete(place)) picked.add(place);
    cursor = place;
    repaint();
  } else moveTo(place, event.shiftKey);
  $("grid").focus({ preventScroll: true });
});
$("canvas").addEventListener("dblclick", () => zoom());
for (const what of ["accept", "reject", "clear"]) $(what).addEventListener("click", () => decide(what));
$("undo").addEventListener("click", () => act("undo"));
$("zoom-button").addEventListener("click", () => zoom());
$("zoom-close").addEventListener("click", () => $("zoom").close());
$("help-button").addEventListener("click", () => $("help").showModal());
for (const id of ["class", "show", "sort"]) $(id).addEventListener("change", () => { arrange(); $("grid").focus(); });
$("find").addEventListener("input", () => arrange());
$("grid").addEventListener("scroll", draw, { passive: true });
new ResizeObserver(() => catalog && (layOut(), follow())).observe($("grid"));

// ---------------------------------------------------------------- start

async function load() {
  const before = images && imageAt(cursor)?.name;
  const response = await fetch("catalog.json"), content = await response.json();
  if (!response.ok) return say(content.error, true);
  catalog = content;
  images = catalog.items.map(([name, label, accepted, reason, prompt, scores, group]) => ({
    name, label, accepted, reason, scores, group, prompt: catalog.prompts[prompt],
    text: `${name} ${catalog.prompts[prompt]} ${group}`.toLowerCase(),
  }));
  replaceDecisions(catalog.decisions, catalog.undo);
  const numbers = new Map();
  for (const image of images) numbers.set(image.label, (numbers.get(image.label) ?? 0) + 1);
  fill($("class"), [["", "all classes"], ...[...numbers].map(([label, number]) => [String(label), `${catalog.classes[label].name} (${number})`])]);
  const reasons = Object.entries(catalog.reasons).map(([reason, text]) => [`reason:${reason}`, `rejected: ${text}`]);
  fill($("show"), [...Object.entries(SHOWN).map(([value, [text]]) => [value, text]), ...reasons]);
  const scores = catalog.scores.flatMap((name, place) => [
    [`${place}:1`, `${name.replaceAll("_", " ")} ↑`], [`${place}:-1`, `${name.replaceAll("_", " ")} ↓`],
  ]);
  fill($("sort"), [["", "plan order"], ...scores]);
  $("run").textContent = catalog.run;
  document.title = `Review ${catalog.run} - synaug`;
  $("command").textContent = catalog.apply;
  realOf = null;
  arrange(before);
}

watchDecisions(repaint, load);
await load();
if (images) $("grid").focus();

// The decisions about the images, and the queue that sends them to the server, which saves each before it answers.

import { $ } from "./elements.js";

export const MARKS = { accept: "✓", reject: "✗" };
const RETRY = 2000; // milliseconds

const decisions = new Map(); // name -> [decision, note]
let queue = [], isSending = false, undoSteps = 0;
let onChange, onRefusal;

export const decision = (image) => decisions.get(image.name)?.[0] ?? "";
export const note = (image) => decisions.get(image.name)?.[1] ?? "";
export const isIn = (image) => (decision(image) === "" ? image.accepted : decision(image) === "accept");
export const canUndo = () => undoSteps > 0 || queue.length > 0 || isSending;

// Call `changed` after each change, and `refused` if the server did not accept one.
export function watchDecisions(changed, refused) {
  onChange = changed;
  onRefusal = refused;
}

export function replaceDecisions(saved, steps) {
  decisions.clear();
  for (const [name, value] of Object.entries(saved)) decisions.set(name, value);
  undoSteps = steps;
}

// Accept, reject, clear, note or undo: shown at once, then saved.
export function act(what, chosen = [], more = {}) {
  if (what !== "undo" && !chosen.length) return;
  if (what in MARKS || what === "clear") {
    for (const image of chosen) decisions.set(image.name, [what === "clear" ? "" : what, note(image)]);
  }
  queue.push(what === "undo" ? { do: what } : { do: what, ids: chosen.map((image) => image.name), ...more });
  onChange();
  send();
}

async function send() {
  if (isSending || !queue.length) return;
  isSending = true;
  say("Saving …");
  const batch = queue;
  queue = [];
  let answer, problem;
  try {
    const response = await fetch("actions", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(batch), keepalive: batch.length < 50,
    });
    answer = await response.json();
    if (!response.ok) problem = answer.error;
  } catch {
    problem = "the server does not answer. Is it still running?";
  }
  isSending = false;
  if (problem) {
    queue = [...batch, ...queue];
    say(`Not saved: ${problem}`, true);
    setTimeout(send, RETRY);
    return;
  }
  for (const [name, value] of Object.entries(answer.changed)) decisions.set(name, value);
  if (answer.refused.length) {
    say(answer.refused[0], true);
    onRefusal(); // takes back what the server refused
  } else if (!queue.length) say("Saved");
  undoSteps = answer.undo;
  onChange();
  send();
}

export function say(text, isProblem = false) {
  $("saved").textContent = text;
  $("saved").classList.toggle("problem", isProblem);
}

addEventListener("beforeunload", (event) => {
  if (queue.length || isSending) event.preventDefault();
});

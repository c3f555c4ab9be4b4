"use strict";
// The browser of samples. Every text is put into the page as text, never as markup.

const HEIGHT = 44; // of a row of the list, as in the style sheet
const [ID, CATEGORY, USER, ITEM, RATING, TITLE, HISTORY, START] = [0, 1, 2, 3, 4, 5, 6, 7];
const byId = (id) => document.getElementById(id);
const tables = [...document.querySelectorAll("script.index")].map((node) => JSON.parse(node.textContent));
const state = { data: 0, open: null, chosen: 0, order: [] };
const blocks = new Map();

function element(tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

const table = () => tables[state.data];
const column = () => table().columns[byId("column").value] || table().columns[0];
const score = (run, sample) => (table().scores[run][column().key] || [])[sample];

/** The best of these values; null in a column without a direction. */
function bestOf(values) {
  const higher = column().higher_is_better;
  if (higher === null || !values.length) return null;
  return higher ? Math.max(...values) : Math.min(...values);
}

const shown = (value) => (value === null || value === undefined ? "–" : value.toFixed(column().digits));

// ---------------------------------------------------------------- words in common

const WORD = /[\p{L}\p{N}]+(?:['’][\p{L}]+)*/gu;

function counted(text) {
  const counts = new Map();
  for (const [word] of text.matchAll(WORD)) {
    const key = word.toLowerCase();
    counts.set(key, (counts.get(key) || 0) + 1);
  }
  return counts;
}

/** The text with its words marked that the other text has too: each as often as it stands there. */
function marked(text, other) {
  const node = element("div", undefined, "text");
  const left = counted(other);
  let end = 0;
  for (const match of text.matchAll(WORD)) {
    const key = match[0].toLowerCase();
    if (!left.get(key)) continue;
    left.set(key, left.get(key) - 1);
    node.append(text.slice(end, match.index));
    node.append(element("mark", match[0], key.length < 4 ? "short" : ""));
    end = match.index + match[0].length;
  }
  node.append(text.slice(end));
  return node;
}

// ---------------------------------------------------------------- list

function options(select, entries) {
  select.replaceChildren(...entries.map(([value, text]) => {
    const option = element("option", text);
    option.value = value;
    return option;
  }));
}

function setData() {
  const { samples, runs, columns } = table();
  const categories = [...new Set(samples.map((sample) => sample[CATEGORY]))];
  options(byId("category"), [["", "all"], ...categories.map((name) => [name, name])]);
  options(byId("column"), columns.map((one, place) => [place, one.label]));
  const fields = [["order", "order of the data"], ["history", "history"], ["rating", "rating"], ["spread", "spread of scores"]];
  options(byId("sort"), [...fields, ...runs.map((name, place) => [place, name])]);
  state.open = null;
  byId("detail").replaceChildren(element("p", "Choose a sample.", "about"));
}

function sortKey(by) {
  const { samples, runs } = table();
  if (by === "order") return (place) => place;
  if (by === "history") return (place) => samples[place][HISTORY];
  if (by === "rating") return (place) => samples[place][RATING];
  if (by === "spread") {
    return (place) => {
      const values = runs.map((_, run) => score(run, place)).filter((value) => value != null);
      return values.length ? Math.max(...values) - Math.min(...values) : 0;
    };
  }
  return (place) => score(Number(by), place) ?? -Infinity;
}

function arrange() {
  const { samples, runs } = table();
  const category = byId("category").value;
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const bound = (id) => (byId(id).value === "" ? null : Number(byId(id).value));
  const [least, most] = [bound("least"), bound("most")];
  const by = byId("sort").value;
  const judged = Number.isInteger(Number(by)) && by !== "" ? [Number(by)] : runs.map((_, run) => run);
  const inside = (value) => value != null && (least === null || value >= least) && (most === null || value <= most);
  state.order = [];
  samples.forEach((sample, place) => {
    if (category && sample[CATEGORY] !== category) return;
    if (words.length) {
      const text = [ID, USER, ITEM, TITLE, START].map((field) => sample[field]).join(" ").toLowerCase();
      if (!words.every((word) => text.includes(word))) return;
    }
    if ((least !== null || most !== null) && !judged.some((run) => inside(score(run, place)))) return;
    state.order.push(place);
  });
  const key = sortKey(by);
  const keys = new Map(state.order.map((place) => [place, key(place)]));
  const sign = byId("descending").checked ? -1 : 1;
  state.order.sort((a, b) => sign * (keys.get(a) - keys.get(b)) || a - b);
  byId("count").textContent = `${state.order.length} of ${samples.length} samples`;
  heads();
  byId("space").style.height = `${state.order.length * HEIGHT}px`;
  byId("list").scrollTop = 0;
  draw();
}

const grid = () => `minmax(10rem, 1fr) repeat(${table().runs.length}, 3.6rem)`;

function heads() {
  const node = byId("heads");
  node.style.gridTemplateColumns = grid();
  byId("list").style.setProperty("--width", `${11 + 4.1 * table().runs.length}rem`);
  node.replaceChildren(element("span", "Sample"), ...table().runs.map((name) => element("span", name, "number")));
}

/** Puts the rows into the page that can be seen, and no others. */
function draw() {
  const list = byId("list");
  const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 5);
  const last = Math.min(state.order.length, first + Math.ceil(list.clientHeight / HEIGHT) + 12);
  const rows = [];
  for (let at = first; at < last; at += 1) rows.push(row(at));
  byId("rows").replaceChildren(byId("space"), ...rows);
}

function row(at) {
  const place = state.order[at];
  const sample = table().samples[place];
  const node = element("div", undefined, place === state.open ? "row open" : "row");
  node.style.top = `${at * HEIGHT}px`;
  node.style.gridTemplateColumns = grid();
  node.setAttribute("role", "option");
  const what = element("div", undefined, "what");
  what.append(element("b", `${sample[RATING]}★ ${sample[ITEM]}`));
  what.append(element("small", `${sample[CATEGORY]} · ${sample[HISTORY]} past · ${sample[START]}`));
  const values = table().runs.map((_, run) => score(run, place));
  const best = bestOf(values.filter((value) => value != null));
  node.append(what, ...values.map((value) => element("span", shown(value), value === best ? "number best" : "number")));
  node.addEventListener("click", () => open(place));
  return node;
}

// ---------------------------------------------------------------- one sample

/** The details of a block: unpacked once, kept. */
function block(number) {
  const name = `block-${state.data}-${number}`;
  if (!blocks.has(name)) {
    const bytes = Uint8Array.from(atob(byId(name).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    blocks.set(name, new Response(stream).json());
  }
  return blocks.get(name);
}

async function open(place) {
  state.open = place;
  state.chosen = 0;
  draw();
  const details = (await block(Math.floor(place / table().block)))[place % table().block];
  if (state.open !== place) return;
  detail(table().samples[place], place, details);
  byId("detail").scrollTop = 0;
  history.replaceState(null, "", `#sample=${encodeURIComponent(table().samples[place][ID])}`);
}

function detail(sample, place, details) {
  const about = `${sample[CATEGORY]} · user ${sample[USER]} · ${sample[RATING]} stars · ${sample[HISTORY]} past reviews · ${sample[ID]}`;
  const pair = element("div", undefined, "pair");
  const real = element("div", undefined, "real");
  const texts = element("div");
  const nodes = details.runs.map((run, number) => {
    const node = written(run, number, place, details.reference);
    node.addEventListener("click", () => choose(number));
    texts.append(node);
    return node;
  });
  function choose(number) {
    state.chosen = number;
    nodes.forEach((node, other) => node.classList.toggle("chosen", other === number));
    real.replaceChildren(
      element("b", `The user's real review (words of ${table().runs[number]} marked)`),
      marked(details.reference, details.runs[number].text || ""),
    );
  }
  choose(0);
  pair.append(texts, real);
  const parts = [element("h3", `${sample[ITEM]} — “${sample[TITLE]}”`), element("p", about, "about"), pair];
  if (details.description) parts.push(folded("Item description", element("pre", details.description)));
  parts.push(element("h4", "Past reviews and what other users wrote of the same item"));
  parts.push(...details.history.map((review) => past(review, details.runs)));
  byId("detail").replaceChildren(...parts);
}

function folded(title, ...content) {
  const node = element("details");
  node.append(element("summary", title), ...content);
  return node;
}

function written(run, number, place, reference) {
  const { runs, columns, scores } = table();
  const node = element("section", undefined, "written");
  const values = columns.map(({ key, label, digits }) => {
    const value = (scores[number][key] || [])[place];
    return `${label} ${value === null || value === undefined ? "–" : value.toFixed(digits)}`;
  });
  const head = element("header");
  head.append(element("span", runs[number]), element("small", values.join("  ")));
  node.append(head);
  node.append(run.error ? element("p", `failed: ${run.error}`, "error") : marked(run.text, reference));
  for (const [stage, system, user] of run.prompts) {
    node.append(folded(`prompt of stage ${stage}`, element("pre", system), element("pre", user)));
  }
  return node;
}

function past(review, runs) {
  const users = table().runs.filter((_, number) => runs[number].retrieved.includes(review.id));
  const where = users.length ? ` · retrieved by ${users.join(", ")}` : "";
  const node = folded(`${review.rating}★ ${review.item} — “${review.title}”${where}`, element("div", review.text, "text"));
  for (const peer of review.peers) {
    node.append(element("div", `${peer.rating}★ ${peer.user}: ${peer.text}`, "text peer"));
  }
  if (review.more) node.append(element("div", `and ${review.more} more`, "peer"));
  return node;
}

// ---------------------------------------------------------------- start

/** #sample=ID&sort=1&descending=1&search=words: a view can be linked to. */
function fromAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const id of ["category", "search", "column", "sort", "least", "most"]) {
    if (wanted.has(id)) byId(id).value = wanted.get(id);
  }
  byId("descending").checked = wanted.has("descending");
  arrange();
  const place = wanted.has("sample") ? table().samples.findIndex((sample) => sample[ID] === wanted.get("sample")) : -1;
  if (place < 0) return;
  open(place);
  byId("list").scrollTop = Math.max(0, state.order.indexOf(place) - 3) * HEIGHT;
  byId("samples").scrollIntoView();
}

function move(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !state.order.length) return;
  event.preventDefault();
  const at = Math.min(Math.max(state.order.indexOf(state.open) + step, 0), state.order.length - 1);
  const list = byId("list");
  if (at * HEIGHT < list.scrollTop) list.scrollTop = at * HEIGHT;
  if ((at + 3) * HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = (at + 3) * HEIGHT - list.clientHeight;
  open(state.order[at]);
}

if (tables.length) {
  byId("browser").hidden = false;
  options(byId("data"), tables.map((one, place) => [place, one.title]));
  setData();
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("controls").addEventListener("input", (event) => {
    if (event.target.id === "data") {
      state.data = Number(event.target.value);
      setData();
    }
    arrange();
  });
  byId("list").addEventListener("scroll", draw);
  byId("list").addEventListener("keydown", move);
  window.addEventListener("resize", draw);
  fromAddress();
}

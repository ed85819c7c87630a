// What HTML and htmx do not do by themselves: news from the server, rows that visibly move, keys, layers of a picture.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const HIGHLIGHT = 6000, SETTLE = 600, AT_MOST_EVERY = 250; // milliseconds

// ── News: one stream a page, only while somebody can see it ─────────────────────────────────────────────────────────
let stream = null, due = 0, last = 0;

function refresh() {
  if (due) return;
  due = setTimeout(() => {
    due = 0;
    last = Date.now();
    all("[data-live-refresh]").forEach((element) => htmx.trigger(element, "refresh"));
  }, Math.max(0, last + AT_MOST_EVERY - Date.now()));
}

function live(state, text) {
  const sign = $("#live");
  if (sign) Object.assign(sign, { textContent: text }).dataset.live = state;
}

function listen() {
  if (stream || document.hidden || !$("#live")) return;
  stream = new EventSource("/events");
  stream.onopen = () => { live("on", "live"); refresh(); };
  stream.addEventListener("changed", refresh);
  stream.onerror = () => {
    live("off", "not connected");
    if (stream.readyState === EventSource.CLOSED) { // refused: log in again, or the server is not there yet
      stream = null;
      setTimeout(() => { refresh(); listen(); }, 3000);
    }
  };
}

function rest() {
  stream?.close();
  stream = null;
  live("wait", "paused");
}

document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
addEventListener("pagehide", rest);

// ── The list: rows move from where they were; who reads with the keyboard keeps the row ─────────────────────────────
let before = null;
const moved = new Map(); // UID to the time until which the row is marked

const rows = () => all("#lines tbody tr[data-uid]");
const focused = () => document.activeElement?.closest?.("#lines tr")?.dataset.uid;

function remember() {
  before = { filter: filtered(), focus: focused(), tops: new Map(rows().map((row, index) =>
    [row.dataset.uid, { top: row.getBoundingClientRect().top, index, priority: row.dataset.priority }])) };
}

const filtered = () => new URLSearchParams(new FormData($("#filter"))).toString();

function settle() {
  if (!before) return;
  const old = before, same = old.filter === settle.filter;
  settle.filter = old.filter;
  before = null;
  const now = rows(), kept = now.filter((row) => old.tops.has(row.dataset.uid));
  const ranks = new Map([...old.tops.keys()].filter((uid) => now.some((row) => row.dataset.uid === uid)).map((uid, rank) => [uid, rank]));
  kept.forEach((row, rank) => {
    if (rank < ranks.get(row.dataset.uid) && raised(row, old)) announce(row, now.indexOf(row) + 1);
  });
  now.forEach((row) => { if ((moved.get(row.dataset.uid) ?? 0) > Date.now()) mark(row); });
  if (same && !calm.matches) kept.forEach((row) => slide(row, old.tops.get(row.dataset.uid).top));
  if (old.focus) $(`#lines tr[data-uid="${CSS.escape(old.focus)}"] .open`)?.focus({ preventScroll: true });
}

const rank = (priority) => ["HIGH", "MEDIUM", "LOW"].indexOf(priority);
const raised = (row, old) => rank(row.dataset.priority) < rank(old.tops.get(row.dataset.uid).priority);

function announce(row, position) {
  moved.set(row.dataset.uid, Date.now() + HIGHLIGHT);
  $("#announcement").textContent = `A study moved up to line ${position}, priority ${row.dataset.priority}`;
  const body = row.parentElement; // no click meant for another row hits the one that moved under the pointer
  body.classList.add("settling");
  setTimeout(() => body.classList.remove("settling"), SETTLE);
}

function mark(row) {
  row.classList.add("moved");
  setTimeout(() => row.classList.remove("moved"), moved.get(row.dataset.uid) - Date.now());
}

function slide(row, top) {
  const distance = top - row.getBoundingClientRect().top;
  if (Math.abs(distance) < 2) return;
  row.animate([{ transform: `translateY(${distance}px)` }, { transform: "none" }], { duration: SETTLE, easing: "ease-in-out" });
}

document.addEventListener("htmx:beforeSwap", (event) => { if (event.detail.target?.id === "lines") remember(); });
document.addEventListener("htmx:afterSwap", (event) => { // before anything else can take the focus or be painted
  if (event.target.id === "lines") settle();
  if (event.target.id === "panel") anew(event.target);
  layers();
});

// A study that was analysed anew has other findings: the page loads them.
function anew(panel) {
  const page = $(".study"), had = page.dataset.shown ?? $("#panel").dataset.shown;
  const state = `${panel.dataset.generation} ${panel.dataset.state}`;
  if (had === undefined) page.dataset.shown = state;
  else if (had !== state) location.reload();
}

// ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────
function step(by) {
  const links = all("#lines .open");
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1)];
  next.focus({ preventScroll: true });
  next.closest("tr").scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "j": () => step(1),
  "k": () => step(-1),
  "/": () => $("#words")?.focus(),
  "o": () => fade(Number($("#opacity")?.value) ? 0 : 70),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=checkbox]):not([type=radio]):not([type=range]), select, textarea");
  if (typing && event.key === "Escape") event.target.blur();
  if (typing || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

// ── A picture's layers ──────────────────────────────────────────────────────────────────────────────────────────────
function fade(percent) {
  const slider = $("#opacity");
  if (!slider) return;
  slider.value = percent;
  $("#opacity-value").textContent = `${percent} %`;
  all(".stage").forEach((stage) => stage.style.setProperty("--opacity", percent / 100));
}

function layers() {
  all("[data-toggles]").forEach((box) => all("[data-layer]").forEach((layer) => {
    if (layer.dataset.layer === box.dataset.toggles) layer.hidden = !box.checked;
  }));
}

document.addEventListener("input", (event) => {
  if (event.target.id === "opacity") fade(Number(event.target.value));
  if (event.target.matches("[data-toggles]")) layers();
  if (event.target.closest("#filter")) $("#limit").value = $("#limit").defaultValue;
});

document.addEventListener("click", (event) => {
  const tab = event.target.closest("[data-shows]"), more = event.target.closest("[data-limit]");
  if (tab) {
    all("[data-shows]").forEach((one) => one.setAttribute("aria-pressed", String(one === tab)));
    all("figure").forEach((figure) => { figure.hidden = figure.id !== tab.dataset.shows; });
  }
  if (more) {
    $("#limit").value = more.dataset.limit;
    htmx.trigger("#filter", "refresh");
  }
});

// ── Refusals are shown ────────────────────────────────────────────────────────────────────────────────────────
function alarm(text) {
  const sign = $("#alert");
  sign.textContent = text;
  sign.hidden = !text;
}

let answered = false; // the alarm answers a person; that the page then refreshes itself does not take it away
const byItself = (event) => event.detail.requestConfig?.triggeringEvent?.type === "refresh";

document.addEventListener("htmx:responseError", (event) => {
  answered = !byItself(event);
  alarm(event.detail.xhr.responseText.slice(0, 300));
});
document.addEventListener("htmx:sendError", () => live("off", "not connected"));
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && !(answered && byItself(event))) alarm("");
});

const shownPanel = $("#panel");
if (shownPanel) $(".study").dataset.shown = `${shownPanel.dataset.generation} ${shownPanel.dataset.state}`;
if ($("#filter")) settle.filter = filtered();
layers();
listen();

// The page works without this. With it, contents are renewed in place, and what is open stays open.
"use strict";
// Told of news by /events; where that can't be had, it asks in this rhythm, milliseconds.
const EVERY = 10000;
// News come in bursts, one for each way of a round.
const GATHER = 500;
let polling = null;
let gathering = null;
let progress = "";

function openTarget() {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted && wanted.tagName === "DETAILS") wanted.open = true;
}

async function renew() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const details of document.querySelectorAll("details[id]")) {
      const next = fresh.getElementById(details.id);
      if (next) next.open = details.open;
    }
    const focused = keyOf(document.activeElement);
    const scrolled = document.querySelector(".changes")?.scrollTop ?? 0;
    document.title = fresh.title;
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    offerButtons();
    if (scrolled) document.querySelector(".changes").scrollTop = scrolled;
    if (focused) document.querySelector(focused)?.focus({ preventScroll: true });
  } catch {
    const last = document.querySelector(".last");
    if (last) last.textContent = document.body.dataset.silent;
  }
}

// Where the keyboard was, so that it is there again.
function keyOf(element) {
  if (!element || element === document.body) return "";
  if (element.matches("button.diagnose")) return "button.diagnose";
  if (element.tagName === "SUMMARY" && element.parentElement.id) return `[id="${CSS.escape(element.parentElement.id)}"] > summary`;
  const link = element.getAttribute("href");
  return link ? `a[href="${CSS.escape(link)}"]` : "";
}

// Copying needs a secure context (https, or loopback); elsewhere the text is there to be selected.
function offerButtons() {
  if (navigator.clipboard) for (const button of document.querySelectorAll("button.copy")) button.hidden = false;
  const diagnose = document.querySelector("button.diagnose");
  if (diagnose) diagnose.hidden = false;
  tell(progress);
}

function tell(text) {
  progress = text;
  const place = document.querySelector(".progress");
  if (place && place.textContent !== text) place.textContent = text;
  const diagnose = document.querySelector("button.diagnose");
  if (diagnose) diagnose.disabled = Boolean(text);
}

async function diagnose() {
  const answer = await fetch("/-/diagnose", { method: "POST" });
  tell(answer.ok ? "…" : (await answer.text()).trim());
  if (!answer.ok) setTimeout(() => tell(""), EVERY);
}

function poll(wanted) {
  if (wanted && !polling) polling = setInterval(renew, EVERY);
  if (!wanted && polling) polling = clearInterval(polling) ?? null;
}

function listen() {
  if (!window.EventSource) return poll(true);
  const events = new EventSource("/events");
  events.onopen = () => { poll(false); renew(); };
  events.onerror = () => {
    poll(true); // the browser tries again by itself, unless it was refused
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 6 * EVERY);
  };
  events.addEventListener("news", () => {
    gathering ??= setTimeout(() => { gathering = null; renew(); }, GATHER);
  });
  events.addEventListener("progress", (event) => tell(JSON.parse(event.data)));
}

addEventListener("click", async (event) => {
  if (event.target.matches?.("button.diagnose")) return diagnose();
  if (!event.target.matches?.("button.copy")) return;
  await navigator.clipboard.writeText(event.target.parentElement.querySelector("pre").textContent);
  event.target.textContent = event.target.dataset.done;
});
addEventListener("hashchange", openTarget);
addEventListener("visibilitychange", renew);
openTarget();
offerButtons();
listen();

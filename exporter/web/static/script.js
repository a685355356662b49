// The page works without this. With it, contents are renewed in place, and what is open stays open.
"use strict";
const EVERY = 10000;

function openTarget() {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted && wanted.tagName === "DETAILS") wanted.open = true;
}

async function renew() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/", { cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const details of document.querySelectorAll("details[id]")) {
      const next = fresh.getElementById(details.id);
      if (next) next.open = details.open;
    }
    const scrolled = document.querySelector(".changes")?.scrollTop ?? 0;
    document.title = fresh.title;
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    offerCopies();
    if (scrolled) document.querySelector(".changes").scrollTop = scrolled;
  } catch {
    document.querySelector(".last").textContent = "The exporter doesn't answer: what stands here is old";
  }
}

// Copying needs a secure context (https, or loopback); elsewhere the text is there to be selected.
function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button.copy")) button.hidden = false;
}

addEventListener("click", async (event) => {
  if (!event.target.matches?.("button.copy")) return;
  await navigator.clipboard.writeText(event.target.parentElement.querySelector("pre").textContent);
  event.target.textContent = "Copied";
});
addEventListener("hashchange", openTarget);
addEventListener("visibilitychange", renew);
openTarget();
offerCopies();
setInterval(renew, EVERY);

// The page: which part is shown, and messages.

import { ComparePage } from "./compare.js";
import { LearnPage } from "./learn.js";
import { MatchPage } from "./match.js";

const notice = document.getElementById("notice");
let hiding = 0;

// Shows a sentence at the bottom of the page for a while.
function tell(error) {
  notice.textContent = error.message || String(error);
  notice.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (notice.hidden = true), 9000);
}

const pages = { match: new MatchPage(tell), learn: new LearnPage(tell), compare: new ComparePage(tell) };
const opened = new Set();
let current = null;

// Shows the part that the address names.
function show() {
  const name = location.hash.slice(1) in pages ? location.hash.slice(1) : "match";
  if (current && current !== name) pages[current].leave();
  current = name;
  for (const one of Object.keys(pages)) document.getElementById(one).hidden = one !== name;
  for (const link of document.querySelectorAll("#tabs a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!opened.has(name)) pages[name].open().catch(tell);
  opened.add(name);
  pages[name].enter?.();
}

window.addEventListener("hashchange", show);
show();

// The page: which part is shown, and messages.

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

new MatchPage(tell).open().catch(tell);

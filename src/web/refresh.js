// Fetches the page again and puts the new content in the place of the old one, so that numbers move without a flicker.
"use strict";
(function () {
  const seconds = Number(document.getElementById("content").dataset.refresh);
  const lost = document.getElementById("lost");
  if (!seconds) return;

  // Whoever fills in a form must not lose it.
  function busy() {
    const at = document.activeElement;
    return document.hidden || (at && at.closest("#content") && at.matches("input, select, button"));
  }

  async function refresh() {
    const limit = AbortSignal.timeout(10000);
    const reply = await fetch(location.href, { cache: "no-store", signal: limit });
    const text = await reply.text();
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("content");
    const old = document.getElementById("content");
    if (!fresh || busy()) return;
    const link = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceChildren(...fresh.childNodes);
    if (link) {
      const again = Array.from(old.querySelectorAll("a")).find((a) => a.getAttribute("href") === link);
      if (again) again.focus({ preventScroll: true });
    }
  }

  async function run() {
    try {
      if (!busy()) await refresh();
      lost.textContent = "";
    } catch (error) {
      lost.textContent = "no answer since " + new Date().toLocaleTimeString();
    }
    setTimeout(run, seconds * 1000);
  }
  setTimeout(run, seconds * 1000);
})();

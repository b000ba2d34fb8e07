// Fetches the page again and puts the new content in the place of the old one, so that numbers move without a flicker.
"use strict";
(function () {
  const seconds = Number(document.getElementById("content").dataset.refresh);
  const lost = document.getElementById("lost");
  if (!seconds) return;

  // Whoever fills in a form or marks a text must not lose it.
  function busy() {
    const content = document.getElementById("content");
    const at = document.activeElement;
    const mark = getSelection();
    return document.hidden
      || (at && content.contains(at) && at.matches("input, select, button"))
      || (!mark.isCollapsed && content.contains(mark.anchorNode));
  }

  // Links to one address, of which a page may have several.
  function links(content, address) {
    return Array.from(content.querySelectorAll("a")).filter((a) => a.getAttribute("href") === address);
  }

  // Where a table was pushed to, and which link has the focus.
  function place(content) {
    const at = document.activeElement;
    const link = content.contains(at) ? at.getAttribute("href") : null;
    return {
      pushed: Array.from(content.querySelectorAll(".scroll"), (table) => table.scrollLeft),
      link,
      number: links(content, link).indexOf(at),
    };
  }

  function restore(content, { pushed, link, number }) {
    content.querySelectorAll(".scroll").forEach((table, index) => { table.scrollLeft = pushed[index] || 0; });
    const again = link && links(content, link);
    if (again && again.length) (again[number] || again[0]).focus({ preventScroll: true });
  }

  async function refresh() {
    const reply = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(10000) });
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById("content");
    if (!fresh || busy()) return;
    const content = document.getElementById("content");
    const before = place(content);
    content.replaceChildren(...fresh.childNodes);
    restore(content, before);
  }

  async function run() {
    try {
      if (!busy()) await refresh();
      lost.textContent = "";
    } catch (error) {
      if (!lost.textContent) lost.textContent = "no answer since " + new Date().toLocaleTimeString();
    }
    setTimeout(run, seconds * 1000);
  }
  setTimeout(run, seconds * 1000);
})();

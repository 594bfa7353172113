// Runs the exposure clocks and takes up news every two seconds; the page also works without it.
"use strict";

const two = (n) => String(n).padStart(2, "0");

function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

function tick() {
  const now = Date.now();
  for (const cell of document.querySelectorAll("[data-since]")) {
    if (cell.dataset.since === "") continue;
    cell.textContent = span(now - Number(cell.dataset.since));
    cell.classList.add("out");
  }
  for (const cell of document.querySelectorAll("[data-until]")) {
    if (cell.dataset.until === "") continue;
    const left = Number(cell.dataset.until) - now;
    cell.textContent = left < 0 ? `overdue by ${span(-left)}` : span(left);
    cell.classList.toggle("out", left < 0);
  }
}

async function refresh() {
  try {
    const response = await fetch(location.href, { redirect: "manual" });
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("main");
    document.getElementById("main").replaceWith(fresh);
    tick();
  } catch {
    // The console does not answer just now; the clocks run on, and the next try comes.
  }
}

tick();
setInterval(tick, 250);
setInterval(refresh, 2000);

"use strict";
// Keeps the page as the exporter would show it now. Without this script it is a plain page that is reloaded by hand.
(() => {
  const root = document.documentElement;
  const byID = (id) => document.getElementById(id);
  const rows = byID("rows"), form = byID("filter");
  const liveState = byID("live-state"), liveDetail = byID("live-detail");

  // The exporter's clock counts, not this one's.
  let skew = 0;
  const now = () => Date.now() + skew;

  // age writes milliseconds as kubectl does: 45s, 5m12s, 3h20m, 4d2h.
  function age(ms) {
    const s = Math.max(Math.floor(ms / 1000), 0), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    const two = (a, unit, b, rest) => a + unit + (b ? b + rest : "");
    if (s < 120) return s + "s";
    if (m < 10) return two(m, "m", s % 60, "s");
    if (h < 3) return m + "m";
    if (h < 8) return two(h, "h", m % 60, "m");
    if (h < 48) return h + "h";
    if (d < 8) return two(d, "d", h % 24, "h");
    if (d < 730) return d + "d";
    return two(Math.floor(d / 365), "y", d % 365, "d");
  }

  function writeAges() {
    for (const t of document.querySelectorAll("time")) {
      const text = age(now() - Date.parse(t.dateTime)) + " ago";
      if (!t.title) t.title = t.textContent;
      if (t.textContent !== text) t.textContent = text;
    }
  }

  // Whether the page is live. What is heard of the exporter and what the exporter has heard of the node are two things.
  const patience = 15000, staleAfter = 60000, retryAfter = 2000;
  let source = null, opened = 0, heard = 0, at = 0, connected = false, lost = false, crowded = false;

  function say(state, title, detail) {
    root.dataset.live = state;
    if (liveState.textContent !== title) liveState.textContent = title; // is read aloud: only when it is another
    if (detail !== null && liveDetail.textContent !== detail) liveDetail.textContent = detail;
  }

  function writeLive() {
    if (lost && crowded) {
      say("lost", "Too many watchers", "the exporter is there and has no room for one more, trying again" + (at ? "; what is shown is of " + age(now() - at) + " ago" : ""));
    } else if (lost) {
      say("lost", "Lost the exporter", heard ? "last heard " + age(Date.now() - heard) + " ago, trying again" : "trying again");
    } else if (connected && at && now() - at > staleAfter) {
      say("lost", "The exporter has stopped looking", "what is shown is of " + age(now() - at) + " ago");
    } else if (connected && !at) {
      say("waiting", "The exporter is starting", "");
    } else if (connected) {
      say("on", "Live", "");
    } else {
      say("off", "As of", at ? age(now() - at) + " ago" : null);
    }
  }

  // The filter, which is in the URL too.
  const query = new URLSearchParams(location.search);
  const states = form ? [...byID("counts").querySelectorAll("a")].map((a) => a.dataset.state) : [];
  let state = states.includes(query.get("state")) ? query.get("state") : "";

  function hrefOf(wanted) {
    const q = new URLSearchParams();
    if (form.q.value.trim()) q.set("q", form.q.value.trim());
    if (wanted) q.set("state", wanted);
    return "/" + (q.toString() ? "?" + q : "");
  }

  function applyFilter() {
    if (!form) return;
    const words = form.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows.rows) {
      const fits = (!state || row.dataset.state === state) && words.every((w) => row.dataset.text.includes(w));
      if (row.hidden === fits) row.hidden = !fits;
      shown += fits;
    }
    byID("none").hidden = shown > 0;
    for (const a of byID("counts").querySelectorAll("a")) {
      a.href = hrefOf(a.dataset.state);
      if (a.dataset.state === state) a.setAttribute("aria-current", "true");
      else a.removeAttribute("aria-current");
    }
  }

  function keepFilter() {
    applyFilter();
    history.replaceState(null, "", hrefOf(state));
  }

  if (form) {
    form.addEventListener("submit", (e) => { e.preventDefault(); keepFilter(); });
    form.q.addEventListener("input", keepFilter);
    document.addEventListener("click", (e) => {
      const a = e.target.closest && e.target.closest("#counts a, #none a");
      if (!a || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
      e.preventDefault();
      if (a.closest("#none")) form.q.value = "";
      state = a.dataset.state || "";
      keepFilter();
    });
  }

  // parse makes an element of HTML from the exporter's own templates, in which every word of others is escaped.
  function parse(html) {
    const t = document.createElement("template");
    t.innerHTML = html;
    return t.content.firstElementChild;
  }

  // morph turns one element into another by the fewest changes: what did not change keeps focus and selection.
  function morph(from, to) {
    if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) {
      from.replaceWith(to);
      return;
    }
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    if (from.nodeName === "TIME" && from.dateTime === to.dateTime) return; // its text is an age
    const ours = from.nodeName === "TR" ? ["hidden", "class"] : []; // what the script itself sets
    for (const a of [...from.attributes]) {
      if (!to.hasAttribute(a.name) && !ours.includes(a.name)) from.removeAttribute(a.name);
    }
    for (const a of to.attributes) {
      if (from.getAttribute(a.name) !== a.value) from.setAttribute(a.name, a.value);
    }
    const is = [...from.childNodes], shall = [...to.childNodes];
    shall.forEach((node, i) => { if (i < is.length) morph(is[i], node); else from.append(node); });
    is.slice(shall.length).forEach((node) => node.remove());
  }

  // keepFocus gives the focus back to what had it, or to the same link of a part that was made anew.
  function keepFocus(change) {
    const had = document.activeElement, part = had && had.closest("[id^='pod:'], main > *"), href = had && had.getAttribute("href");
    change();
    if (!had || had === document.body || document.activeElement === had) return;
    let next = had.isConnected ? had : null;
    if (!next && href && part && part.isConnected) next = [...part.querySelectorAll("a")].find((a) => a.getAttribute("href") === href);
    (next || byID("main")).focus({ preventScroll: true });
  }

  const fresh = new Map(); // rows that have no place yet
  let changes = [], known = false; // known: the first contents have come

  function told(element, before) {
    const after = element && element.dataset.news;
    if (after && after !== before && (before || known)) {
      changes.push(after);
      if (element.nodeName === "TR") element.classList.add("changed");
    }
  }

  function onPart({ id, html }) {
    const to = parse(html), from = byID(id);
    if (!from) {
      if (rows && to && to.nodeName === "TR") fresh.set(id, to);
      return;
    }
    const newsOf = () => (from.dataset.news ? from : from.querySelector("[data-news]"));
    const before = newsOf() && newsOf().dataset.news;
    keepFocus(() => morph(from, to));
    if (from.isConnected) told(newsOf(), before);
  }

  function onOrder(ids) {
    if (!rows) return;
    keepFocus(() => {
      const wanted = new Set(ids);
      for (const row of [...rows.rows]) {
        if (wanted.has(row.id)) continue;
        if (known) changes.push(row.id.slice("pod:".length) + ": gone");
        row.remove();
      }
      let next = rows.firstElementChild;
      for (const id of ids) {
        const row = fresh.get(id) || byID(id);
        if (row === next) {
          next = next && next.nextElementSibling;
          continue;
        }
        if (!row) continue;
        if (rows.moveBefore && row.isConnected) rows.moveBefore(row, next); // keeps the focus
        else rows.insertBefore(row, next);
        if (fresh.has(id)) told(row, "");
      }
      fresh.clear();
      byID("list").hidden = ids.length === 0;
    });
  }

  // once reports whether the page has not been loaded anew for that build yet: something between may keep the old one.
  function once(build) {
    try {
      if (sessionStorage.getItem("build") === build) return false;
      sessionStorage.setItem("build", build);
      return true;
    } catch {
      return false; // a browser that keeps nothing
    }
  }

  function onNow(tell) {
    if (tell.build !== root.dataset.build && once(tell.build)) {
      location.reload();
      return;
    }
    heard = Date.now();
    skew = Date.parse(tell.now) - heard;
    at = tell.at ? Date.parse(tell.at) : 0;
    connected = true;
    lost = crowded = false;
    if (at) known = true;
    if (changes.length > 3) byID("news").textContent = changes.length + " static pods have changed";
    else if (changes.length) byID("news").textContent = changes.join(". ");
    changes = [];
    const main = document.querySelector("[data-title]"), icon = document.querySelector("link[rel=icon]");
    if (main) {
      if (document.title !== main.dataset.title) document.title = main.dataset.title;
      const wanted = main.dataset.class === "critical" ? icon.dataset.critical : icon.dataset.ok;
      if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
    }
  }

  let drawing = false;
  function draw() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      applyFilter();
      writeLive();
      writeAges();
    });
  }

  function open() {
    close();
    opened = Date.now();
    source = new EventSource(location.pathname + "?watch=true&output=html");
    const on = (name, act) => source.addEventListener(name, (e) => { act(JSON.parse(e.data)); draw(); });
    on("part", onPart);
    on("order", onOrder);
    on("now", onNow);
    source.onerror = () => {
      lost = true; // and the browser tries again, but for an answer that is no stream
      if (source && source.readyState === EventSource.CLOSED) {
        setTimeout(() => { if (source && lost) open(); }, retryAfter);
        askWhy(source.url);
      } else {
        crowded = false;
      }
      draw();
    };
  }

  // askWhy finds out why there is no stream, which an EventSource does not tell: the exporter may have too many.
  async function askWhy(url) {
    const enough = new AbortController();
    try {
      const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: enough.signal });
      crowded = answer.status === 503 && (await answer.text()).includes("watches already");
    } catch {
      crowded = false;
    }
    enough.abort(); // a stream, after all
    draw();
  }

  function close() {
    if (source) source.close();
    source = null;
    connected = false;
  }

  function begin() {
    lost = false;
    open();
    draw();
  }

  setInterval(() => {
    if (document.hidden) return;
    if (source && Date.now() - Math.max(heard, opened) > patience) { // an end that nobody told of
      lost = true;
      open();
    }
    draw();
  }, 1000);
  // A page that nobody sees holds no connection: a browser has six for one exporter.
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else begin(); });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (e) => { if (e.persisted) begin(); });
  document.addEventListener("animationend", (e) => { const row = e.target.closest("tr"); if (row) row.classList.remove("changed"); });
  draw();
  if (!document.hidden) open();
})();

// Makes a page live, and gives it a filter, keys and a panel of details. Without it the page is complete, but stands still.
// All markup comes from our own server, which escapes it; what this file writes itself is text and never markup.
"use strict";

(() => {
  const main = document.getElementById("main");
  const runUrl = main.dataset.run ? `/runs/${encodeURIComponent(main.dataset.run)}` : null;
  const title = document.title;

  function make(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  // --- bringing elements up to date -----------------------------------------------------------------------------------
  // What is the same stays the same element: focus, selection, scroll position and open details stay with it.

  const OURS = "data-script"; // an element that this script has made: the server doesn't know of it
  const OUT = "data-out"; // an element that doesn't match the filter
  const LEFT_ALONE = new Set(["open", "checked", "value", OUT]); // what people do to an element

  function parse(markup, like) {
    const template = document.createElement("template");
    const inSvg = like instanceof SVGElement && like.localName !== "svg";
    template.innerHTML = inSvg ? `<svg>${markup}</svg>` : markup;
    return inSvg ? template.content.firstElementChild.firstElementChild : template.content.firstElementChild;
  }

  function morph(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    if (old.isEqualNode(fresh)) return;
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !LEFT_ALONE.has(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !LEFT_ALONE.has(name)) old.setAttribute(name, value);
    }
    morphChildren(old, fresh);
  }

  function morphChildren(old, fresh) {
    const named = new Map([...old.children].filter((each) => each.id).map((each) => [each.id, each]));
    let at = old.firstChild;
    const skip = () => {
      while (at?.nodeType === Node.ELEMENT_NODE && at.hasAttribute(OURS)) at = at.nextSibling;
    };
    for (const next of [...fresh.childNodes]) {
      skip();
      const known = next.id ? named.get(next.id) : undefined;
      if (known && known.nodeName === next.nodeName) {
        if (known === at) at = at.nextSibling;
        else old.insertBefore(known, at);
        if (known !== panel) morph(known, next);
      } else if (at && at.nodeName === next.nodeName && !at.id && !next.id) {
        const current = at;
        at = at.nextSibling;
        morph(current, next);
      } else {
        old.insertBefore(next, at);
      }
    }
    for (skip(); at; skip()) {
      const gone = at;
      at = at.nextSibling;
      if (gone !== panel) gone.remove();
    }
  }

  function update(data) {
    if (data.main !== undefined) {
      morphChildren(main, parse(`<main>${data.main}</main>`, main));
    } else {
      for (const [id, markup] of Object.entries(data.parts)) {
        const old = document.getElementById(id);
        if (old) morph(old, parse(markup, old));
      }
    }
    const status = document.getElementById("status");
    if (status) document.title = `${status.textContent.trim()} – ${title}`;
    applyFilter();
    if (shown && (data.main !== undefined || Object.keys(data.parts).some((id) => id.endsWith(`/${encode(shown)}`)))) refresh();
  }

  // --- the connection -------------------------------------------------------------------------------------------------

  const SILENCE = 45_000; // the server says every 15 s that it is there
  const HIDDEN = 5_000; // a tab that nobody sees gives its connection back: a browser has six for a server
  const LONGEST_PAUSE = 15_000;
  let source = null;
  let sequence = main.dataset.seq ?? null;
  let version = null;
  let pause = 1_000;
  let timer = 0;
  let watchdog = 0;
  let over = !main.dataset.events;

  function connect(resume) {
    clearTimeout(timer);
    source?.close();
    const url = new URL(main.dataset.events, location.href);
    if (resume && sequence !== null) url.searchParams.set("after", sequence);
    source = new EventSource(url);
    source.addEventListener("hello", (event) => {
      const theirs = JSON.parse(event.data).version;
      if (version !== null && version !== theirs) location.reload(); // another version of the program answers now
      version = theirs;
      pause = 1_000;
      heard();
      tell("live", "Live");
    });
    source.addEventListener("update", (event) => {
      heard();
      const data = JSON.parse(event.data);
      sequence = data.seq;
      update(data);
    });
    source.addEventListener("beat", heard);
    source.addEventListener("over", () => {
      over = true;
      disconnect();
      tell("over", "The run has ended");
    });
    source.addEventListener("error", () => {
      tell("lost", "Connection lost, trying again");
      // A browser asks again by itself, unless it was answered with an error.
      if (source.readyState === EventSource.CLOSED) again();
    });
  }

  function again() {
    disconnect();
    timer = setTimeout(() => connect(true), pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }

  function disconnect() {
    clearTimeout(watchdog);
    clearTimeout(timer);
    source?.close();
  }

  function heard() {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => {
      tell("lost", "Nothing heard for a while, trying again");
      again();
    }, SILENCE);
  }

  function rest() {
    disconnect();
    tell("waiting", "Resting while nobody looks");
  }

  document.addEventListener("visibilitychange", () => {
    if (over) return;
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(rest, HIDDEN);
    else if (source === null || source.readyState === EventSource.CLOSED) connect(true);
  });

  // --- the bar: connection, filter, help --------------------------------------------------------------------------------

  const connection = make("span", { id: "connection", role: "status", "aria-live": "polite" });
  const count = make("span", { id: "count", role: "status", "aria-live": "polite" });
  const box = make("input", { id: "filter", type: "search", placeholder: "Filter", "aria-label": "Filter targets", autocomplete: "off" });
  const keys = make("button", { type: "button", "aria-haspopup": "dialog", "aria-label": "Keys" }, "?");
  const help = make("dialog", { id: "help", "aria-label": "Keys" });

  function tell(state, text) {
    if (connection.textContent === text) return;
    connection.textContent = text;
    connection.dataset.state = state;
  }

  function rows() {
    return [...main.querySelectorAll("tr[data-target]")];
  }

  let filtered = false;

  function applyFilter() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length && !filtered) return;
    filtered = words.length > 0;
    let matching = 0;
    const all = rows();
    for (const row of all) {
      const text = words.length ? row.textContent.toLowerCase() : "";
      const matches = words.every((word) => text.includes(word));
      row.toggleAttribute(OUT, !matches);
      if (matches) matching += 1;
      document.getElementById(`node/${row.id.slice("target/".length)}`)?.toggleAttribute(OUT, !matches);
    }
    const told = words.length ? `${matching} of ${all.length} targets` : "";
    if (count.textContent !== told) count.textContent = told;
  }

  function buildBar() {
    const bar = make("section", { id: "bar", [OURS]: "", "aria-label": "Connection, filter and keys" }, connection);
    if (runUrl) bar.append(box, count);
    bar.append(keys);
    const known = [["j, k", "next and previous"], ["Enter", "open"], ["Escape", "close, or clear the filter"], ["?", "these keys"]];
    if (runUrl) known.splice(0, 0, ["/", "filter: a name, a state, a reason"]);
    const list = make("dl", {}, ...known.map(([key, what]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, what))));
    const close = make("button", { type: "button" }, "Close");
    help.append(make("h2", {}, "Keys"), list, close);
    main.before(bar);
    main.after(help);
    box.addEventListener("input", applyFilter);
    keys.addEventListener("click", () => help.showModal());
    close.addEventListener("click", () => help.close());
  }

  // --- the panel of details -------------------------------------------------------------------------------------------

  const panel = document.getElementById("details");
  const AGAIN = 1_000; // milliseconds between two looks at the same target
  let shown = panel?.dataset.target && !panel.hidden ? panel.dataset.target : null;
  let opener = null;
  let waiting = 0;

  const encode = (target) => encodeURIComponent(target).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);

  function targetOf(link) {
    const url = new URL(link.href, location.href);
    if (url.origin !== location.origin || url.pathname !== location.pathname) return null;
    if (url.hash.startsWith("#target/")) return decodeURIComponent(url.hash.slice("#target/".length));
    return url.searchParams.get("target");
  }

  async function load(target) {
    const answer = await fetch(`${runUrl}/target?id=${encode(target)}`);
    if (!answer.ok || shown !== target) return false;
    const fresh = parse(await answer.text(), panel);
    if (shown !== target) return false;
    morph(panel, fresh);
    return true;
  }

  async function show(target, from) {
    shown = target;
    opener = from;
    try {
      if (!(await load(target))) return;
    } catch {
      tell("lost", "The details can't be loaded just now");
      return;
    }
    history.replaceState(null, "", `#target/${encode(target)}`);
    document.getElementById("details-title")?.focus({ preventScroll: true });
    panel.scrollIntoView({ block: "nearest" });
  }

  function refresh() {
    if (waiting) return;
    waiting = setTimeout(() => {
      waiting = 0;
      if (shown) load(shown).catch(() => {}); // the connection's own state is told already
    }, AGAIN);
  }

  function hide() {
    shown = null;
    panel.hidden = true;
    history.replaceState(null, "", location.pathname);
    (opener?.isConnected ? opener : current())?.focus();
  }

  // --- keys and clicks --------------------------------------------------------------------------------------------------

  let cursor = null; // the id or address of the row that j and k go on from

  function stops() {
    const found = runUrl ? rows().filter((row) => !row.hasAttribute(OUT) && row.getClientRects().length) : [...main.querySelectorAll("tbody tr")];
    return found.map((row) => row.querySelector("a")).filter(Boolean);
  }

  function current() {
    return stops().find((link) => link.href === cursor);
  }

  function move(step) {
    const links = stops();
    if (!links.length) return;
    const at = links.findIndex((link) => link === document.activeElement || link.href === cursor);
    const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1)];
    cursor = next.href;
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  function escape() {
    if (shown) hide();
    else if (box.value) {
      box.value = "";
      applyFilter();
    } else document.activeElement?.blur();
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const writing = event.target.closest?.("input:not([type=radio]):not([type=checkbox]), textarea, select");
    const actions = { j: () => move(1), k: () => move(-1), "?": () => help.showModal(), "/": () => box.isConnected && box.focus() };
    if (event.key === "Escape") escape();
    else if (writing && event.key === "Enter") move(1);
    else if (!writing && Object.hasOwn(actions, event.key)) actions[event.key]();
    else return;
    event.preventDefault();
  }

  function onClick(event) {
    const link = event.target.closest?.("a[href]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || !panel) return;
    if (link.hasAttribute("data-close")) {
      event.preventDefault();
      hide();
      return;
    }
    const target = targetOf(link);
    if (target === null) return;
    event.preventDefault();
    show(target, link);
  }

  // --- drawings that are bigger than their frames are shown where something happens -------------------------------------

  const ACTION = ["s-running", "s-rolling_back", "s-baking", "s-starting", "s-failed", "s-errored"];

  function showTheAction() {
    for (const frame of main.querySelectorAll("#graph .scroll, #timeline .scroll")) {
      const found = ACTION.map((each) => frame.querySelector(`a.${each}`)).find(Boolean);
      if (!found) continue;
      const box = found.getBoundingClientRect();
      const view = frame.getBoundingClientRect();
      frame.scrollTop += box.top - view.top - view.height / 3;
      if (frame.closest("#graph")) frame.scrollLeft += box.left - view.left - view.width / 3;
    }
  }

  buildBar();
  setTimeout(showTheAction, 0); // once it is painted
  document.addEventListener("keydown", onKey);
  main.addEventListener("click", onClick);
  if (panel && location.hash.startsWith("#target/")) show(decodeURIComponent(location.hash.slice("#target/".length)), null);
  if (over) tell("over", runUrl ? "The run has ended" : "");
  else {
    tell("waiting", "Connecting");
    connect(false);
  }
})();

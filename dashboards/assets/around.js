// Getting around without the server: links that keep what is chosen, keys, what opens over the page, pictures.
(function () {
  const go = url => {
    if (url.href === window.location.href) return;
    window.history.pushState({}, "", url);
    window.dispatchEvent(new PopStateEvent("popstate"));
  };
  const below = path => document.documentElement.dataset.prefix + path; // the prefix, if there is one
  const address = () => new URL(window.location.href);
  // `data-set` is what changes in the address; without a value, a choice is taken back.
  const changed = what => {
    const url = address();
    for (const [name, value] of new URLSearchParams(what)) {
      // Which time it is that is frozen only the server knows.
      if (value === "now") url.searchParams.set(name, Date.now() + window.dash_clientside.spilldeck.ahead_ms);
      else if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    return url;
  };
  // Where a link leads: to its own page or, without one, to this page; with all that is chosen, changed as it says.
  const target = link => {
    const url = changed(link.dataset.set);
    if (link.dataset.page !== undefined) url.pathname = new URL(link.getAttribute("href"), url).pathname;
    // The page of a spill is of its own run: another is shown from its first page on.
    else if (url.pathname.startsWith(below("/spill/")) && new URLSearchParams(link.dataset.set).has("run")) url.pathname = below("/");
    return url;
  };
  const open = name => {
    closeAll();
    const dialog = document.getElementById(name);
    for (const list of dialog.querySelectorAll("[data-rows]:empty")) {
      window.dash_clientside.spilldeck.write(list, JSON.parse(list.dataset.rows));
    }
    dialog.showModal();
    for (const input of dialog.querySelectorAll("input.filter, .filter input")) {
      input.focus();
      sift(dialog, input);
    }
  };
  const sift = (dialog, input) => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of dialog.querySelectorAll(".row")) {
      const said = [row.textContent, row.dataset.words].join(" ").toLowerCase();
      row.hidden = !words.every(word => said.includes(word));
    }
  };
  // Parts are written anew as spills come: what has its place gets the focus that the keyboard gave, what was unfolded is
  // so again, and in a list somebody may be typing what to look for.
  const PARTS = "#strip, #controls, #banners, #navigation, .table", FOCUSABLE = "a[href], button, summary";
  const inside = part => [...part.querySelectorAll(FOCUSABLE)];
  const row = details => (details.closest("tr")?.cells[0] ?? details.querySelector("summary")).textContent;
  const unfolded = new Set();
  let focused;
  const keep = () => {
    for (const details of document.querySelectorAll(".table details")) details.open = unfolded.has(row(details));
    if (!focused || focused.element.isConnected || document.querySelector("dialog[open]")) return;
    const there = inside(focused.part);
    there[Math.min(focused.at, there.length - 1)]?.focus();
  };
  document.addEventListener("written", () => {
    keep();
    markSeen(); // before it is painted loud again
    const dialog = document.querySelector("dialog[open]");
    for (const input of dialog?.querySelectorAll("input.filter, .filter input") ?? []) sift(dialog, input);
  });
  document.addEventListener("focusin", ({ target }) => {
    if (target.closest("dialog")) return; // when that is closed, the focus comes back
    const part = target.matches(":focus-visible") ? target.closest(PARTS) : null;
    focused = part && { element: target, part, at: inside(part).indexOf(target) };
  });
  document.addEventListener("focusout", ({ target, relatedTarget }) => {
    // Also told of what is just being replaced: a moment later it is gone.
    if (!relatedTarget) setTimeout(() => { if (target.isConnected && target === focused?.element) focused = null; });
  });
  // At once, for what is written before the browser tells of it would fold it again.
  document.addEventListener("click", ({ target }) => {
    const details = target.closest(".table summary")?.parentElement;
    if (details) unfolded[details.open ? "delete" : "add"](row(details));
  });
  document.addEventListener("toggle", ({ target }) => {
    if (!target.matches(".table details")) return;
    if (target.open) unfolded.add(row(target));
    else unfolded.delete(row(target));
  }, true);
  document.addEventListener("close", keep, true);
  const closeAll = () => document.querySelectorAll("dialog[open]").forEach(dialog => dialog.close());
  // A plot as it stands, and how its picture is made of it.
  const drawn = (plot, how) => {
    const paper = getComputedStyle(document.documentElement).getPropertyValue("--card").trim();
    const layout = { ...plot.layout, paper_bgcolor: paper };
    return [{ data: plot.data, layout }, { scale: 2, width: plot.clientWidth, height: plot.clientHeight, ...how }];
  };
  const save = async format => {
    await window.loading.plotly();
    const plot = document.querySelector(".figure");
    window.Plotly.downloadImage(...drawn(plot, { format, filename: plot.layout.meta.file }));
  };
  // For who logs it: the one plot of a page as PNG, its title and the name of its file; nothing where there are more.
  window.pictured = async () => {
    const plot = document.querySelector(".one-plot .figure");
    if (!plot?.layout) return null;
    await window.loading.plotly();
    const url = await window.Plotly.toImage(...drawn(plot, { format: "png" }));
    const title = plot.querySelector(".gtitle b")?.textContent ?? "";
    return { png: url.slice(url.indexOf(",") + 1), title, file: plot.layout.meta.file };
  };
  // What is bad and was acknowledged is marked as seen until it is over, whatever is said of it meanwhile. A tile has the
  // names of all that it tells of; a banner's time goes on.
  const seen = new Set();
  const bad = () => [...document.querySelectorAll(".badge.bad, .banner.bad, .tile.bad")];
  const names = told =>
    told.matches(".tile") ? JSON.parse(told.dataset.names)
      : [told.matches(".badge") ? told.querySelector(".what").textContent : told.textContent.replace(/\d+ (s|min|h|days)\b/g, "")];
  const markSeen = () => {
    const told = [...document.querySelectorAll(".badge.bad, .banner.bad, .tile")];
    const now = new Set(told.flatMap(names));
    for (const each of seen) if (!now.has(each)) seen.delete(each);
    for (const each of document.querySelectorAll(".badge, .banner, .tile")) {
      each.classList.toggle("seen", each.matches(".bad") && names(each).every(name => seen.has(name)));
    }
    // A tab behind others tells, too: by its title and its icon.
    const loud = bad().some(told => !told.matches(".seen")), icon = document.querySelector("link[rel=icon]");
    document.body.classList.toggle("loud", loud);
    document.title = (loud ? "✕ " : "") + document.title.replace(/^✕ /, "");
    const colour = getComputedStyle(document.documentElement).getPropertyValue(loud ? "--bad" : "--link").trim();
    const href = icon.href.replace(/fill='[^']*'/, `fill='${encodeURIComponent(colour)}'`);
    if (icon.getAttribute("href") !== href) icon.href = href;
  };
  const actions = {
    acknowledge: () => {
      for (const each of bad().flatMap(names)) seen.add(each);
      markSeen();
    },
    close: closeAll,
    find: () => open("find"),
    runs: () => open("runs"),
    counters: () => open("counters"),
    flags: () => open("flags"),
    issue: () => open("issue"),
    note: () => open("note"),
    help: () => open("help"),
    try: async () => {
      const [limits, last, told] = ["try-limits", "try-last", "tried"].map(name => document.getElementById(name));
      const button = document.querySelector("[data-do=try]");
      // What comes is of what stands there: nobody changes it, or asks again, before it has come.
      const wait = waits => { limits.readOnly = last.readOnly = button.disabled = waits; };
      wait(true);
      told.textContent = "Trying them …";
      try {
        const answer = await fetch(below("/try?") + new URLSearchParams({ last: last.value }), { method: "POST", body: limits.value });
        told.textContent = await answer.text();
      } catch {
        told.textContent = "The server does not answer: try again.";
      }
      wait(false);
    },
    png: () => save("png"),
    svg: () => save("svg"),
    reset: () => window.plots.reset(),
    full: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
    link: () => {
      open("link");
      const freeze = document.querySelector("#controls [data-set*='frozen=now']");
      const goOn = document.querySelector("#controls [data-set^='frozen=&'], #controls [data-set='frozen=']");
      document.getElementById("link-live").value = changed(freeze ? "" : goOn?.dataset.set).href;
      const frozen = freeze ? changed(freeze.dataset.set) : address();
      document.getElementById("link-frozen").value = frozen.href;
      // Whoever opens it later finds what there was when it was made.
      if (freeze) fetch(below("/live?") + new URLSearchParams({ path: frozen.pathname, search: frozen.search })).catch(() => {});
    },
  };
  // A large screen goes on to the next page of the row, unless something is bad or somebody reads what opened over it.
  let arrived = Date.now(), at = window.location.pathname;
  setInterval(() => {
    markSeen();
    fit(); // what grows may take as much from the plots as it adds, and the body stays as high as it was
    const seconds = Number(address().searchParams.get("rotate"));
    if (window.location.pathname !== at) [arrived, at] = [Date.now(), window.location.pathname];
    if (!seconds || Date.now() - arrived < seconds * 1000) return;
    if (document.querySelector(".bad:not(.seen), dialog[open]")) return;
    const pages = [...document.querySelectorAll("#navigation a:not(.apart)")];
    pages[(pages.findIndex(page => page.classList.contains("here")) + 1) % pages.length]?.click();
  }, 1000);
  // Plots fill what the header, with or without banners, leaves of the screen. On one that goes on by itself nobody
  // chooses, and all is enlarged for those who stand far from it.
  const FLATTEST_PX = 248; // a row that can be read, with what is around it
  const fit = () => {
    const { classList, style } = document.documentElement, { innerWidth, innerHeight } = window;
    // Setting what stands has the browser look at the style of all plots again.
    const set = (name, value) => { if (style.getPropertyValue(name) !== value) style.setProperty(name, value); };
    const screen = Math.min(innerWidth / 1920, innerHeight / 1080);
    classList.toggle("kiosk", address().searchParams.has("rotate"));
    set("--screen", String(screen));
    const plots = document.querySelector(".grid, .one-plot");
    if (!plots) return;
    const top = plots.getBoundingClientRect().top + window.scrollY;
    set("--above", `${Math.round(top)}px`);
    const high = (innerHeight - top) / plots.style.getPropertyValue("--rows") / FLATTEST_PX;
    set("--larger", Math.min(1.3 * screen, Math.max(screen, high)).toFixed(3));
  };
  document.addEventListener("DOMContentLoaded", () => { fit(); new ResizeObserver(fit).observe(document.body); });
  window.addEventListener("popstate", fit);
  // A finger on a plot scrolls the page, as anywhere: plotly would zoom. A tap comes as a click as well, and points.
  const scrolls = event => { if (event.target.closest?.(".draglayer")) event.stopPropagation(); };
  for (const kind of ["touchstart", "touchmove"]) document.addEventListener(kind, scrolls, { capture: true, passive: true });
  // A link that is opened elsewhere, in a tab of its own, takes along what is chosen, too: what is chosen when it is
  // pressed, and no longer than that.
  const whole = new Map();
  document.addEventListener("written", () => {
    for (const [link, href] of whole) {
      if (link.matches(":active")) continue;
      link.setAttribute("href", href);
      whole.delete(link);
    }
  });
  const complete = event => {
    const link = event.target.closest("a[data-page], a[data-set], a[data-file]");
    if (!link || !link.hasAttribute("href")) return;
    if (!whole.has(link)) whole.set(link, link.getAttribute("href"));
    if (link.dataset.file !== undefined) link.search = window.location.search;
    else link.href = target(link).href;
  };
  document.addEventListener("pointerdown", complete, true);
  document.addEventListener("focusin", complete, true);
  document.addEventListener("click", event => {
    const doing = event.target.closest("[data-do]");
    if (doing) {
      // A button that was clicked keeps no focus: the space bar is for freezing.
      if (event.detail) doing.blur();
      return actions[doing.dataset.do]();
    }
    if (event.target.matches("dialog")) return closeAll();
    if (event.target.matches("input.address")) return event.target.select();
    complete(event);
    const link = event.target.closest("a[data-page], a[data-set]");
    if (!link || link.target || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    closeAll();
    go(target(link));
  });
  document.addEventListener("input", event => {
    const dialog = event.target.closest("dialog");
    if (dialog) sift(dialog, event.target);
  });
  // A key finds its button only when the page that the address names has come: till then it waits, the last one alone,
  // and only for that page.
  const KEY_WAITS_MS = 3000, KEY_LOOKS_MS = 50;
  const hasCome = () => {
    const page = document.querySelector("#page > [data-path]");
    return page?.dataset.path === window.location.pathname && document.querySelector("#controls .group");
  };
  // What somebody may not do has no key, either.
  const isMine = found => !found.matches("[class*=may-]") || found.checkVisibility();
  let waiting;
  const press = (key, path = window.location.pathname, pressed = Date.now()) => {
    clearTimeout(waiting);
    const found = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find(isMine);
    if (path !== window.location.pathname || Date.now() - pressed > KEY_WAITS_MS) return;
    if (found && (found.closest("header") || hasCome())) found.click();
    else waiting = setTimeout(press, KEY_LOOKS_MS, key, path, pressed);
    return found || !hasCome();
  };
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const dialog = document.querySelector("dialog[open]");
    if (dialog) {
      if (event.key === "Enter" && event.target.matches("input")) dialog.querySelector(".row:not([hidden]) a")?.click();
      return;
    }
    if (event.key === "Escape" && address().searchParams.has("rotate")) return go(changed("rotate="));
    // What was closed a moment ago has the focus until the next frame: the key is not for it.
    const used = event.target.closest("dialog") ? null : event.target;
    if (used?.matches("input, textarea, select") || (event.key === " " && used?.matches("button"))) return;
    if (event.key.length === 1 && press(event.key)) event.preventDefault();
  });
})();

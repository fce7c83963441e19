// What must be decided in the browser: when to ask, whether the server still speaks, light or dark.
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  spilldeck: {
    // One question at a time: its answer waits until there is something new, and the next is asked when it is drawn.
    // A question that was not answered is asked again, ever more patiently: the server is away, or only slow.
    // What changes again and again is not told to Dash: of each input it remembers all values for ever, and at each word
    // it asks every component of the page whether it is meant.
    ask: function (page, search, theme, limits) {
      if (!page) return;
      // Dash gives the same page as another object after each change of it.
      if (page.props["data-made"] !== this.made) {
        this.made = page.props["data-made"];
        [this.has, this.stands] = [page.props["data-has"], this.stand(this.made)];
      }
      if (!this.page) {
        this.openedAt = Date.now();
        setInterval(() => { this.freshness(); this.askAgain(); }, limits.beat_ms);
      }
      Object.assign(this, { page, limits, wanted: new URLSearchParams({ path: page.props["data-path"], search: search || "", theme }) });
      this.after = null; // what was told last is of another view: this one's answer waits for nothing
      this.askAgain();
    },
    askAgain: function () {
      const wanted = String(this.wanted), limits = this.limits;
      const waits = this.question && this.question.wanted === wanted;
      const vain = waits && Date.now() - this.question.at >= this.patience;
      if (waits && !vain) return;
      if (!vain) this.patience = limits.patience_ms;
      else this.patience = Math.min(2 * this.patience, limits.most_patience_ms);
      this.question?.control.abort();
      this.question = { wanted, at: Date.now(), control: new AbortController() };
      this.fetchAnswer(this.question);
    },
    fetchAnswer: async function (question) {
      const asked = new URLSearchParams({ has: this.has, after: this.after ?? "" });
      try {
        // An answer that may be kept is asked for by one tab at a time, and the others wait for it.
        const how = { signal: question.control.signal, cache: "no-store" };
        const response = await fetch(document.documentElement.dataset.prefix + "/live?" + question.wanted + "&" + asked, how);
        if (!response.ok) throw response;
        const told = await response.json();
        await this.stands;
        if (question !== this.question) return;
        this.refused = null;
        this.show(told);
      } catch (error) {
        if (question !== this.question) return;
        this.question = null; // asked again when the clock ticks
        this.refused = error.status;
        this.freshness();
        return;
      }
      this.begin();
      question.at = Date.now();
      // Nobody looks at a page that is hidden: it asks when the clock ticks, which the browser slows down.
      if (document.hidden) this.question = null;
      else this.fetchAnswer(question);
    },
    // What is for who acts, and for who hears, comes when the plots stand; what does not come is asked for with the next
    // answer.
    begin: function () {
      for (const src of this.limits.later) {
        if (this.begun[src]) continue;
        this.begun[src] = document.createElement("script");
        Object.assign(this.begun[src], { src, onerror: () => { delete this.begun[src]; } }).dataset.again = "1";
        document.head.append(this.begun[src]);
      }
    },
    begun: {},
    // Dash tells of a page before it is drawn. Its plots, and its parts above them, are none that Dash knows.
    stand: async function (made) {
      const there = () => document.querySelector(`#page > [data-made="${made}"]`);
      while (!there() && this.made === made) await new Promise(resolve => setTimeout(resolve, 5));
      const page = there();
      if (!page) return;
      this.writeAll(JSON.parse(page.dataset.parts));
      page.querySelectorAll("[data-figure]").forEach(window.plots.stand);
    },
    writeAll: function (parts) {
      for (const [id, children] of Object.entries(parts)) {
        const into = document.getElementById(id);
        if (into) this.write(into, children); // else of a page that was left
      }
      document.dispatchEvent(new Event("written"));
    },
    show: function (told) {
      const axes = has => (/axes:(\w+)/.exec(has) || [])[1];
      this.writeAll(told.parts);
      document.getElementById("clock").textContent = told.clock;
      // A zoom is kept as long as the server says that axes are of the same.
      const zoom = axes(told.has) === axes(this.has);
      for (const [name, figure] of Object.entries(told.figures || {})) {
        const plot = document.getElementById(`{"name":"${name}","type":"figure"}`);
        if (plot) window.plots.show(plot, figure, zoom); // else of a page that was left
      }
      this.has = told.has;
      this.after = told.at;
      this.servedAt = Date.now();
      this.ahead_ms = told.now_ms - this.servedAt;
      this.freshness();
    },
    ahead_ms: 0, // of the server's clock
    // What the server describes, by React itself, in an element of which Dash knows no children. What is as it was is left
    // alone; what does something else now is another element, so that nobody presses what he did not see.
    write: function (into, children) {
      const root = this.roots.get(into) ?? window.ReactDOM.createRoot(into);
      this.roots.set(into, root);
      window.ReactDOM.flushSync(() => root.render(this.elements(children)));
    },
    roots: new WeakMap(),
    elements: function (described) {
      const before = {};
      return [described].flat(Infinity).map((each, at) => {
        if (!each?.props) return each;
        const { children, key, ...props } = each.props;
        const does = Object.entries(props).filter(([name]) => /^(href|data-(?!words).*)$/.test(name));
        const its = JSON.stringify(key || does.length ? [key, does] : at);
        before[its] = (before[its] ?? 0) + 1;
        return window.React.createElement(each.type.toLowerCase(), { key: its + before[its], ...props }, ...this.elements(children));
      });
    },
    // How long ago the server last sent something, by this browser's own clock.
    freshness: function () {
      const age = Date.now() - (this.servedAt ?? this.openedAt);
      const lost = age > this.limits.late_ms;
      document.documentElement.classList.toggle("lost", lost);
      // Once: that it was seen stands there, too.
      const say = (level, mark, words) => {
        if (this.said === words) return;
        this.said = words;
        document.getElementById("browser").className = "badge " + level;
        document.getElementById("browser-mark").textContent = mark;
        document.getElementById("browser-words").textContent = words;
      };
      const refusals = { 429: "The server makes too much for this machine already: asking again" };
      const refused = this.refused && (refusals[this.refused] ?? "The server cannot make this page: its log says why");
      if (refused) say("bad", "✕", refused);
      else if (lost) say("bad", "✕", "Server lost " + Math.floor(age / 1000) + " s ago: all numbers are old");
      else if (this.servedAt) say("good", "✓", "Connected");
    },
    theme: function (clicks, current) {
      const kept = window.localStorage.getItem("spilldeck-theme") || "light";
      const next = clicks ? (current === "dark" ? "light" : "dark") : kept;
      window.localStorage.setItem("spilldeck-theme", next);
      document.documentElement.dataset.theme = next;
      return next;
    },
  },
});

// What must be decided in the browser: when to ask, whether the server still speaks, light or dark.
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  spilldeck: {
    // One question at a time: its answer waits until there is something new, and the next is asked when it is drawn.
    // A question that was not answered is asked again, ever more patiently: the server is away, or only slow.
    // What changes again and again is told to Dash as an output only: of each input it remembers all values for ever.
    ask: function (page, search, theme, limits) {
      if (!page) return;
      // Dash gives the same page as another object after each change of it.
      if (page.props["data-made"] !== this.made) {
        this.made = page.props["data-made"];
        [this.has, this.said, this.stands] = [page.props["data-has"], {}, this.stand(this.made)];
      }
      if (!this.page) {
        this.openedAt = Date.now();
        setInterval(() => { this.freshness(); this.askAgain(); }, limits.beat_ms);
      }
      Object.assign(this, { page, limits, wanted: new URLSearchParams({ path: page.props["data-path"], search: search || "", theme }) });
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
    // Dash tells of a page before it is drawn. Its plots are no parts that Dash knows.
    stand: async function (made) {
      const there = () => document.querySelector(`#page > [data-made="${made}"]`);
      while (!there() && this.made === made) await new Promise(resolve => setTimeout(resolve, 5));
      there()?.querySelectorAll("[data-figure]").forEach(window.plots.stand);
    },
    // Each word to Dash asks every component of the page whether it is meant: what stands there already is not said.
    put: function (id, props) {
      const words = JSON.stringify(props), name = JSON.stringify(id);
      if (this.said[name] === words) return;
      this.said[name] = words;
      window.dash_clientside.set_props(id, props);
    },
    said: {},
    show: function (told) {
      const axes = has => (/axes:(\w+)/.exec(has) || [])[1];
      for (const [id, children] of Object.entries(told.parts)) this.put(id, { children });
      for (const [name, children] of Object.entries(told.tables || {})) this.put({ type: "table", name }, { children });
      for (const [id, rows] of Object.entries(told.lists || {})) this.write(document.getElementById(id), rows);
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
    // Rows as the server describes them, in an element of which Dash knows no children.
    write: function (list, rows) {
      const element = ({ type, props: { children, className, ...attributes } }) => {
        const made = document.createElement(type.toLowerCase());
        if (className) made.className = className;
        for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
        for (const child of [children].flat()) made.append(child?.type ? element(child) : child ?? "");
        return made;
      };
      const now = rows.map(element), stand = [...list.children];
      if (stand.length === now.length && stand.every((row, at) => row.isEqualNode(now[at]))) return;
      // What somebody is about to press keeps the focus.
      const had = list.contains(document.activeElement) && document.activeElement;
      list.replaceChildren(...now);
      if (had) [...list.querySelectorAll("a, button")].find(each => each.isEqualNode(had))?.focus();
    },
    // How long ago the server last sent something, by this browser's own clock.
    freshness: function () {
      const age = Date.now() - (this.servedAt ?? this.openedAt);
      const lost = age > this.limits.late_ms;
      document.documentElement.classList.toggle("lost", lost);
      const say = (level, mark, words) => {
        this.put("browser", { className: "badge " + level });
        this.put("browser-mark", { children: mark });
        this.put("browser-words", { children: words });
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

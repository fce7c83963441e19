// What must be decided in the browser: when to ask, whether the server still speaks, light or dark.
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  spilldeck: {
    // One question at a time: its answer waits until there is something new, and the next is asked when it is drawn.
    // A question that was not answered is asked again, ever more patiently: the server is away, or only slow.
    // What changes again and again is told to Dash as an output only: of each input it remembers all values for ever.
    ask: function (page, search, theme, limits) {
      if (!page) return;
      // Dash gives the same page as another object after each change of a figure on it.
      if (page.props["data-made"] !== this.page?.props["data-made"]) {
        [this.has, this.said, this.madeAt] = [page.props["data-has"], {}, Date.now()];
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
      while (this.isDrawing()) await new Promise(resolve => setTimeout(resolve, 20));
      this.begin();
      if (question !== this.question) return;
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
    // Until all plots of a page stand, newer figures wait: they would be drawn between them, and all stand later.
    isDrawing: function () {
      const stands = plot => plot.querySelector(".main-svg");
      return Date.now() - this.madeAt < this.limits.drawn_ms && ![...document.querySelectorAll(".figure")].every(stands);
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
      const waits = told.figures && this.isDrawing();
      if (told.figures && !waits) this.draw(told.figures, axes(told.has) === axes(this.has));
      if (!waits) this.has = told.has;
      this.after = waits ? "" : told.at;
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
    // Plots that stand are told at once, not by way of Dash, which takes as long again for each as plotly to draw it.
    // Axes keep what the new figure does not say of them: a zoom is the shifter's.
    draw: function (figures, zoom) {
      for (const [name, figure] of Object.entries(figures)) {
        const graph = document.getElementById(`{"name":"${name}","type":"figure"}`);
        if (!graph) continue; // of a page that was left
        graph.closest(".figure").classList.toggle("known", Boolean(figure.layout.meta?.known));
        const plot = graph.querySelector(".js-plotly-plot"), before = plot?.layout;
        const layout = { ...figure.layout, autosize: true };
        if (zoom && before) {
          for (const axis of ["xaxis", "yaxis"]) if (layout[axis]) layout[axis] = { ...before[axis], ...layout[axis] };
        }
        // One that Dash is about to draw would be drawn over what is newer.
        const stands = before && !plot.classList.contains("dash-graph--pending");
        if (!stands) {
          window.dash_clientside.set_props({ type: "figure", name }, { figure: { ...figure, layout } });
          continue;
        }
        // At each zoom Dash would draw the last figure that it was told of, which is older than this one.
        plot.removeAllListeners("plotly_relayout");
        if (!this.move(plot, figure)) window.Plotly.react(plot, figure.data, layout);
      }
    },
    // Axes, ticks and titles are most of plotly's work. When the server says that they hold, and nothing but values and
    // words of the title are new, the lines alone are drawn again: its animation, of no duration, does that.
    move: function (plot, { data, layout }) {
      const values = ({ x, y, z, customdata, text, error_y, ...look }) => look;
      const look = JSON.stringify([data.map(values), { ...layout, title: null, meta: null }]);
      const same = plot.look === look && layout.meta.held && !document.hidden;
      plot.look = look;
      const title = same && this.words(plot.querySelector(".gtitle"));
      if (!title) return false;
      const said = document.createElement("template");
      said.innerHTML = layout.title.text;
      const words = this.words(said.content);
      if (words.length !== title.length) return false;
      words.forEach((each, at) => { if (title[at].data !== each.data) title[at].data = each.data; });
      Object.assign(plot.layout, { title: layout.title, meta: layout.meta });
      const now = { mode: "immediate", frame: { duration: 0, redraw: false }, transition: { duration: 0 } };
      const moved = window.Plotly.animate(plot, { data, traces: data.map((_, at) => at) }, now);
      moved.catch(() => {}); // a later one took its place
      return true;
    },
    // The pieces of text in an element; not the empty ones between which plotly puts those of another look.
    words: function (element) {
      const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT), found = [];
      while (walker.nextNode()) if (walker.currentNode.data.replaceAll("\u200b", "")) found.push(walker.currentNode);
      return found;
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

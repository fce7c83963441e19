// What must be decided in the browser: when to ask, whether the server still speaks, light or dark.
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  spilldeck: {
    // One question at a time: its answer waits until there is something new, and the next is asked when it is drawn.
    // A question that was not answered is asked again, ever more patiently: the server is away, or only slow.
    ask: function (page, search, theme, _ticks, limits) {
      if (!page) return;
      if (page !== this.page) this.has = page.props["data-has"];
      this.page = page;
      const wanted = new URLSearchParams({ path: page.props["data-path"], search: search || "", theme });
      const waits = this.question && this.question.wanted === String(wanted);
      const vain = waits && Date.now() - this.question.at >= this.patience;
      if (waits && !vain) return;
      if (!vain) this.patience = limits.patience_ms;
      else this.patience = Math.min(2 * this.patience, limits.most_patience_ms);
      this.question?.control.abort();
      this.question = { wanted: String(wanted), at: Date.now(), control: new AbortController() };
      this.fetchAnswer(this.question);
    },
    fetchAnswer: async function (question) {
      const asked = new URLSearchParams({ has: this.has, after: this.after ?? "" });
      try {
        const response = await fetch("/live?" + question.wanted + "&" + asked, { signal: question.control.signal });
        if (!response.ok) return;
        const told = await response.json();
        if (question !== this.question) return;
        this.show(told);
      } catch (error) {
        return;
      }
      question.at = Date.now();
      // Nobody looks at a page that is hidden: it asks when the clock ticks, which the browser slows down.
      if (document.hidden) this.question = null;
      else this.fetchAnswer(question);
    },
    show: function (told) {
      const put = window.dash_clientside.set_props;
      const axes = has => (/axes:(\w+)/.exec(has) || [])[1];
      for (const [id, children] of Object.entries(told.parts)) put(id, { children });
      for (const [name, children] of Object.entries(told.tables || {})) put({ type: "table", name }, { children });
      if (told.figures) put("drawn", { data: { figures: told.figures, zoom: axes(told.has) === axes(this.has) } });
      this.has = told.has;
      this.after = told.at;
      put("served", { data: Date.now() });
    },
    // Dash writes a zoom into the figure that the browser holds, where plotly's own means (uirevision) takes it for the
    // server's and forgets it with the next figure. So an axis keeps what the new figure does not say of it.
    draw: function (drawn, ids, figures) {
      const nothing = window.dash_clientside.no_update;
      return ids.map((id, i) => {
        const figure = drawn && drawn.figures[id.name];
        const before = figures[i] && figures[i].layout;
        if (!figure || !drawn.zoom || !before) return figure || nothing;
        const layout = { ...figure.layout };
        for (const axis of ["xaxis", "yaxis"]) if (layout[axis]) layout[axis] = { ...before[axis], ...layout[axis] };
        return { ...figure, layout };
      });
    },
    // How long ago the server last sent something, by this browser's own clock.
    freshness: function (_beats, served, limits) {
      const now = Date.now();
      if (served !== this.lastServed) {
        this.lastServed = served;
        this.servedAt = now;
      }
      this.servedAt = this.servedAt || now;
      const age = now - this.servedAt;
      const lost = age > limits.late_ms;
      document.documentElement.classList.toggle("lost", lost);
      if (lost) {
        const seconds = Math.floor(age / 1000);
        return ["badge bad", "✕", "This page lost its server " + seconds + " s ago: numbers below are old"];
      }
      return served ? ["badge good", "✓", "Up to date"] : ["badge unknown", "?", "Waiting for the server"];
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

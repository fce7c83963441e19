// What must be decided in the browser: when to ask, whether the server still speaks, light or dark.
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  spilldeck: {
    // Ask when the last question is answered: an answer slower than the clock must not be overtaken by the next one.
    // A question that was not answered is asked again, ever more patiently: the server is away, or only slow.
    ask: function (_ticks, served, limits) {
      const now = Date.now();
      const answered = served !== this.answer;
      if (!answered && now - this.askedAt < this.patience) {
        return window.dash_clientside.no_update;
      }
      this.patience = answered ? limits.patience_ms : Math.min(2 * (this.patience || limits.patience_ms), limits.most_patience_ms);
      this.answer = served;
      this.askedAt = now;
      return now;
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
      return [next, next];
    },
  },
});

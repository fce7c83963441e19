// What must be decided in the browser: whether the server still speaks, and light or dark.
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  spilldeck: {
    // How long ago the server last sent something, by this browser's own clock.
    freshness: function (_beats, served) {
      const now = Date.now();
      if (served !== this.lastServed) {
        this.lastServed = served;
        this.servedAt = now;
      }
      const age = Math.floor((now - (this.servedAt || now)) / 1000);
      if (served === undefined || served === null) {
        return ["? Browser: waiting for the server", "badge unknown"];
      }
      if (age <= 5) {
        return ["✓ Browser: up to date", "badge good"];
      }
      return [
        "✕ This page lost its server " + age + " s ago: numbers below are old",
        "badge bad",
      ];
    },
    theme: function (clicks, current) {
      const kept = window.localStorage.getItem("spilldeck-theme") || "light";
      const next = clicks ? (current === "dark" ? "light" : "dark") : kept;
      window.localStorage.setItem("spilldeck-theme", next);
      document.documentElement.dataset.theme = next;
      return [next, next];
    },
    // Mark the link of the page that is open.
    here: function (path) {
      document.querySelectorAll("#navigation a").forEach(function (link) {
        link.classList.toggle("here", link.getAttribute("href") === path);
      });
      return path;
    },
  },
});

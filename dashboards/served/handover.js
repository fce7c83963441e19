// The theme that somebody chose, and what the button does.
(function () {
  document.documentElement.dataset.theme = window.localStorage.getItem("spilldeck-theme") || "light";
  document.querySelector("[data-print]").addEventListener("click", () => window.print());
})();

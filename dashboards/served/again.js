// A page that is small, of one alarm or of the checklist: light or dark, and asked for again as long as somebody looks.
(function () {
  const AGAIN_MS = 3000, ANSWER_MS = 10000;
  const isDark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = window.localStorage.getItem("spilldeck-theme") || (isDark ? "dark" : "light");
  let servedAt = Date.now(), asked = 0, shown = 0;
  const again = (window.again = {
    // What came takes the place of what stands; a page that is filled in has it otherwise.
    put: (page, told) => {
      // What somebody is about to press must not move under the finger for a second more.
      const pressed = () => [...page.querySelectorAll("a, button")], at = pressed().indexOf(document.activeElement);
      page.replaceChildren(...told.childNodes);
      pressed()[at]?.focus();
    },
    ask: async () => {
      if (document.hidden) return;
      const lost = document.getElementById("lost"), page = document.getElementById("page"), mine = ++asked;
      try {
        const answer = await fetch(window.location.href, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
        if (!answer.ok && answer.status !== 404) throw answer;
        const told = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("page");
        servedAt = Date.now();
        lost.hidden = true;
        if (mine < shown) return; // older than what stands: what was asked for later came first
        shown = mine;
        again.put(page, told);
      } catch {
        lost.textContent = `✕ Server lost ${Math.round((Date.now() - servedAt) / 1000)} s ago: all of this is old`;
        lost.hidden = false;
      }
    },
  });
  const goOn = () => again.ask().finally(() => setTimeout(goOn, AGAIN_MS));
  setTimeout(goOn, AGAIN_MS);
  document.addEventListener("visibilitychange", again.ask);
})();

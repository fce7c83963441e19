// What comes before all else of the page: it says what is being loaded and what cannot be, and asks for that again.
window.loading = (function () {
  const AGAIN_MS = 1000, GIVEN_UP_MS = 20000, WHOLE_AGAIN_MS = 2000;
  const NAMES = [["_dash-layout", "its parts"], ["_dash-dependencies", "what belongs together"], ["_dash-update", "this page"]];
  const wait = ms => new Promise(resolve => setTimeout(resolve, ms));
  // Each step that is under way, and what is wrong with it.
  const steps = new Map([["the page’s program", ""]]);
  const refused = new Set(); // asked for as it was, each would be refused again
  const tell = () => {
    const line = document.getElementById("loading");
    if (!line) return;
    const wrong = [...steps].filter(([, why]) => why).map(([what, why]) => `${what} ${why}`);
    const goesOn = [...steps].some(([what, why]) => why && !refused.has(what)) ? ": asking again" : "";
    const isOpen = document.querySelector("#page > *");
    const words = wrong.length ? `Cannot load ${wrong.join("; ")}${goesOn}` : `Loading ${[...steps.keys()].join(", ")}`;
    const said = { className: wrong.length ? "bad" : "", hidden: Boolean(isOpen && !wrong.length), textContent: words };
    // What stands there is not written again: each time the browser would draw a frame.
    for (const [what, its] of Object.entries(said)) if (line[what] !== its) line[what] = its;
  };
  const step = (what, why = "") => { steps.set(what, why); refused.delete(what); tell(); };
  const done = what => { steps.delete(what); refused.delete(what); tell(); };
  const refuse = (what, why) => { steps.set(what, why); refused.add(what); tell(); };
  setInterval(tell, 250);
  // A script or a style sheet that does not come is missed by all that follows: only the whole can be asked for again.
  window.addEventListener("error", ({ target }) => {
    if (target.tagName !== "SCRIPT" && !(target.rel === "stylesheet")) return;
    if (target.dataset.again) return;
    step(`${new URL(target.src || target.href).pathname}`, "did not come");
    setTimeout(() => window.location.reload(), WHOLE_AGAIN_MS);
  }, true);
  window.addEventListener("DOMContentLoaded", () => done("the page’s program"));
  // What zooms plots and makes files of them, which most who look at them never ask for.
  let plots;
  const plotly = () => plots ??= (async () => {
    const what = "the plots’ program";
    for (step(what); ;) {
      const script = document.createElement("script");
      const came = new Promise(resolve => Object.assign(script, { onload: () => resolve(true), onerror: () => resolve(false) }));
      Object.assign(script, { src: "PLOTLY" }).dataset.again = "1";
      document.head.append(script);
      if (await came) break;
      script.remove();
      step(what, "did not come");
      await wait(AGAIN_MS);
    }
    done(what);
  })();
  // Dash asks once, and a page of which that failed stays as it was for ever.
  const fetchOnce = window.fetch.bind(window);
  let newest;
  window.fetch = async (asked, how = {}) => {
    const what = NAMES.find(([part]) => String(asked.url ?? asked).includes(part))?.[1];
    if (!what) return fetchOnce(asked, how);
    const mine = newest = {};
    const isUpdate = what === "this page";
    for (step(what); ; await wait(AGAIN_MS)) {
      try {
        const answer = await fetchOnce(asked, { ...how, signal: AbortSignal.timeout(GIVEN_UP_MS) });
        if (answer.status !== 429 && answer.status < 500) {
          const body = await answer.blob();
          if (answer.ok) done(what);
          else refuse(what, `(the server refuses it: ${await body.text()})`);
          return new Response(answer.status === 204 ? null : body, answer);
        }
        step(what, `(the server answers ${answer.status})`);
      } catch {
        step(what, "(the server does not answer)");
      }
      // Another page was asked for meanwhile.
      if (isUpdate && newest !== mine) throw new TypeError("given up");
    }
  };
  return { plotly };
})();

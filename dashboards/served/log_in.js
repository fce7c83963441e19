// Logs in, and goes back to where one came from.
(function () {
  document.documentElement.dataset.theme = window.localStorage.getItem("spilldeck-theme") || "light";
  const below = path => document.documentElement.dataset.prefix + path; // the prefix, if there is one
  const said = new URLSearchParams(window.location.search).get("next") || below("/");
  const next = new URL(said, window.location.origin);
  // Nobody is led elsewhere: a path that begins with two slashes names another server.
  const isOurs = next.origin === window.location.origin && !next.pathname.startsWith("//");
  const back = isOurs ? next.pathname + next.search : below("/");
  const form = document.querySelector("form"), status = form.querySelector("[role=status]");
  document.getElementById("back").href = back;
  for (const link of document.querySelectorAll("#provider")) link.search = new URLSearchParams({ next: back });
  const button = form.querySelector("button");
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const id = [...crypto.getRandomValues(new Uint8Array(8))];
    button.disabled = true;
    status.textContent = "";
    try {
      const answer = await fetch(below("/log-in"), {
        method: "POST", headers: { "Act-Id": id.map(byte => byte.toString(16).padStart(2, "0")).join("") },
        body: JSON.stringify(Object.fromEntries(new FormData(form))), signal: AbortSignal.timeout(15000),
      });
      if (answer.ok) return window.location.replace(back);
      status.textContent = await answer.text();
    } catch {
      status.textContent = "The server does not answer: try again.";
    }
    button.disabled = false;
    form.elements.password.select();
  });
  button.disabled = false; // before, what is sent would reach nobody
})();

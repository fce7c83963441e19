// The checklist is filled in: what a person said of it is kept in this browser until it is sent, whatever happens.
(function () {
  const PREFIX = "spilldeck-checklist:", KEPT_MS = 7 * 86_400_000, SOON_MS = 1000;
  let sentKey = null;
  const { act, newId, who } = window.acting;
  const form = () => document.getElementById("checklist-form");
  const say = words => { document.getElementById("checklist-status").textContent = words; };
  const rows = within => [...within.querySelectorAll("[data-line]")];
  const checksSay = row => row.querySelector(".said").dataset.said;
  const radios = row => [...row.querySelectorAll("input[type=radio]")];
  const kept = key => {
    try {
      return JSON.parse(window.localStorage.getItem(PREFIX + key));
    } catch {
      return null; // of another version, or nothing is kept here
    }
  };
  const keep = (key, draft) => {
    try {
      if (draft) window.localStorage.setItem(PREFIX + key, JSON.stringify(draft));
      else window.localStorage.removeItem(PREFIX + key);
    } catch {
      say("This browser keeps nothing: what you fill in is lost with the page.");
    }
  };
  const keys = () => Object.keys(window.localStorage).filter(each => each.startsWith(PREFIX)).map(each => each.slice(PREFIX.length));
  const forgetOld = () => {
    for (const key of keys()) if (!(Date.now() - kept(key)?.at_ms < KEPT_MS)) keep(key, null);
  };
  // What was sent while its answer was lost is found in what the server shows as the last one.
  const forgetSent = page => {
    const last = page.querySelector("[data-sent]")?.dataset.sent, key = last && keys().find(each => kept(each)?.id === last);
    if (!key) return;
    say(`Sent as ${kept(key).who}.`);
    keep(key, null);
  };
  // What the person said of a line, else what the checks say of it now.
  const show = row => {
    const said = kept(form().dataset.key)?.lines[row.dataset.line], answer = said?.person ?? checksSay(row);
    for (const radio of radios(row)) radio.checked = radio.value === answer;
    row.classList.toggle("other", said?.person !== undefined && said.person !== checksSay(row));
    const remark = row.querySelector(".remark");
    if (remark !== document.activeElement) remark.value = said?.remark ?? "";
  };
  // What was begun of this run when another checklist was due: it may be gone on with.
  const older = () => {
    const { key } = form().dataset, [run] = key.split(" ");
    return keys().find(each => each.startsWith(`${run} `) && each !== key);
  };
  const button = (words, draft) => {
    const made = document.createElement("button");
    Object.assign(made, { type: "button", className: "choice", textContent: words });
    made.dataset.draft = draft;
    return made;
  };
  // What one began another does not send unawares.
  const tellWhose = () => {
    if (!form()) return;
    const draft = kept(form().dataset.key), name = who()?.name, place = document.getElementById("whose");
    const isOthers = Boolean(draft && name && draft.who !== name), before = draft ? undefined : older();
    form().querySelector("[type=submit]").disabled = isOthers || !name;
    form().querySelector("[type=submit]").textContent = name ? `Send it as ${name}` : "Send it";
    form().querySelector("[data-draft=drop]").disabled = !draft;
    const words = isOthers ? `! ${draft.who} began this, and you are ${name}. ` : before && "! The one before was begun in this browser, and not sent. ";
    place.hidden = !words;
    if (!words || place.firstChild?.textContent === words) return; // a button that has the focus keeps it
    place.replaceChildren(words, isOthers ? button(`Go on as ${name}`, "take") : button("Go on with it", "older"));
  };
  const showAll = () => {
    if (!form()) return;
    rows(form()).forEach(show);
    tellWhose();
  };
  const note = (row, person) => {
    const { key } = form().dataset, name = who()?.name ?? "";
    const draft = kept(key) ?? { who: name, lines: {} };
    const said = draft.lines[row.dataset.line] ??= {};
    said.person = person ?? said.person;
    said.remark = row.querySelector(".remark").value;
    // Another action than before; by when it is kept, who comes back in a week begins anew.
    keep(key, { ...draft, id: newId(), at_ms: Date.now() });
    show(row);
    tellWhose();
  };
  const send = async () => {
    const { key, what } = form().dataset, name = who()?.name ?? "", draft = kept(key) ?? { who: name, lines: {}, id: newId(), at_ms: Date.now() };
    const lines = rows(form()).map(row => {
      const { person, remark } = draft.lines[row.dataset.line] ?? {};
      return { name: row.dataset.line, seen: checksSay(row), ...(person && { person }), remark: remark ?? "" };
    });
    keep(key, draft); // with its id: sent again it is the same
    form().querySelector("[type=submit]").disabled = true;
    say("");
    const why = await act(document.documentElement.dataset.prefix + "/act/checklist", { ...JSON.parse(what), who: draft.who, lines }, draft.id);
    say(why || `Sent as ${draft.who}.`);
    if (!why) {
      keep(key, null);
      sentKey = key;
      form().remove();
    }
    await window.again.ask();
    tellWhose();
    setTimeout(window.again.ask, SOON_MS);
  };
  window.again.put = (page, told) => {
    forgetSent(told);
    // The server hears a moment later that it was sent.
    if (told.querySelector("#checklist-form")?.dataset.key === sentKey) told.querySelector("#checklist-form").remove();
    const now = form(), next = told.querySelector("#checklist-form"), names = within => rows(within).map(row => row.dataset.line).join("\n");
    const isUnknown = told.querySelector("[data-state=unknown]") !== null;
    if (now && (isUnknown || (next && now.dataset.key === next.dataset.key && names(now) === names(next)))) {
      // What is being filled in stays where it is.
      for (const part of isUnknown ? [] : [".as-of", "h1"]) page.querySelector(part).replaceWith(told.querySelector(part));
      if (!isUnknown) now.dataset.what = next.dataset.what;
      const old = page.querySelector(".trouble"), trouble = told.querySelector(".trouble");
      old.replaceChildren(...trouble.childNodes);
      if (isUnknown) return;
      const of = new Map(rows(next).map(row => [row.dataset.line, row]));
      for (const row of rows(now)) row.querySelector(".said").replaceWith(of.get(row.dataset.line).querySelector(".said"));
    } else {
      const at = document.activeElement.closest("[data-line]")?.dataset.line, isRemark = document.activeElement.matches(".remark");
      page.replaceChildren(...told.childNodes);
      const row = form() && rows(form()).find(each => each.dataset.line === at);
      row?.querySelector(isRemark ? ".remark" : "input:checked").focus();
    }
    showAll();
  };
  document.addEventListener("input", ({ target }) => {
    const row = target.closest("[data-line]");
    if (row) note(row, target.type === "radio" ? target.value : undefined);
  });
  document.addEventListener("keydown", event => {
    // It goes on to the next line: one sends by the button.
    if (event.key !== "Enter" || !event.target.matches("#checklist-form input")) return;
    event.preventDefault();
    const all = rows(form()), next = all[all.indexOf(event.target.closest("[data-line]")) + 1];
    (next ? radios(next).find(each => each.checked) : form().querySelector("[type=submit]")).focus();
  });
  document.addEventListener("click", ({ target }) => {
    const what = target.closest("[data-draft]")?.dataset.draft;
    if (!what) return;
    const { key } = form().dataset, before = what === "older" && older();
    keep(key, what === "drop" ? null : { ...kept(before || key), who: who().name, id: newId() });
    if (before) keep(before, null);
    showAll();
  });
  document.addEventListener("submit", event => {
    if (event.target !== form()) return;
    event.preventDefault();
    send();
  });
  window.addEventListener("storage", showAll); // another tab of this browser
  forgetOld();
  showAll();
  // Who one is comes later, and may change in another tab.
  new MutationObserver(tellWhose).observe(document.documentElement, { attributes: true, attributeFilter: ["data-who"] });
})();

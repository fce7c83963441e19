// Who one is, and what one does: asked of the server each time, since it alone knows.
(function () {
  const ANSWER_MS = 30000;
  const root = document.documentElement;
  const below = path => root.dataset.prefix + path; // the prefix, if there is one
  const newId = () => [...crypto.getRandomValues(new Uint8Array(8))].map(byte => byte.toString(16).padStart(2, "0")).join("");
  const element = (type, attributes, ...children) => {
    const made = document.createElement(type);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  let who;
  const tell = () => {
    const place = document.getElementById("who");
    if (!place || !who) return;
    root.dataset.may = who.may.join(" ");
    root.dataset.who = who.name;
    for (const line of document.querySelectorAll(".acting")) line.textContent = who.line;
    const parts = [];
    if (who.name && who.way !== "machine") parts.push(element("span", {}, `${who.role} ${who.name}`));
    if (who.way === "session") parts.push(element("button", { class: "choice", "data-act": "log-out", title: "Log out" }, "Log out"));
    if (who.way === "nobody" && who.configured) {
      parts.push(element("a", { class: "choice" }, "Log in"));
    }
    // What somebody is about to press stays, wherever the page goes meanwhile.
    const words = parts.map(part => part.textContent).join("\n");
    if (place.dataset.words !== words) place.replaceChildren(...parts);
    place.dataset.words = words;
    const next = new URLSearchParams({ next: window.location.pathname + window.location.search });
    for (const link of place.querySelectorAll("a")) link.href = below("/log-in?") + next;
  };
  const ask = async () => {
    try {
      const answer = await fetch(below("/who"), { cache: "no-store" });
      if (answer.ok) who = await answer.json();
    } catch { /* asked again when somebody looks again */ }
    tell();
  };
  // Nothing, or why it was not done. Asked for again with the same id it is the same action.
  const act = async (path, said, id) => {
    try {
      const how = { method: "POST", headers: { "Act-Id": id }, body: JSON.stringify(said), signal: AbortSignal.timeout(ANSWER_MS) };
      const answer = await fetch(path, how);
      if (answer.status === 401) ask();
      return answer.ok ? "" : await answer.text();
    } catch {
      return "The server does not answer, so nobody knows whether it is noted: ask again, the same is noted once.";
    }
  };
  window.acting = { act, newId, who: () => who }; // for pages of their own
  // What somebody typed stands there again when it was refused, or the server away; `of` is what it was typed of.
  const typed = new Map();
  const prompted = (words, of, first = "") => {
    const key = JSON.stringify([of, words]), said = window.prompt(words, typed.get(key) ?? first);
    if (said !== null) typed.set(key, said);
    return said;
  };
  const forget = of => { for (const key of [...typed.keys()]) if (JSON.parse(key)[0] === of) typed.delete(key); };
  const say = words => { document.getElementById("flag-status").textContent = words; };
  const remark = async button => {
    const { act: what, run, flag } = button.dataset, isVerified = what === "verify";
    const reason = isVerified ? "" : prompted("Why is this flag withdrawn?", flag);
    if (reason === null) return;
    button.dataset.id ??= newId();
    say("");
    const why = await act(below(`/act/${what}-flag`), { run: Number(run), flag, reason }, button.dataset.id);
    if (!why) forget(flag);
    say(why || (isVerified ? "Verified." : "Withdrawn."));
  };
  // What could not be noted is asked for again with the same id: a button may be another alarm's by then.
  const asked = {};
  const onAlarm = async ({ dataset: { act: what, alarm } }) => {
    const said = { alarm }, status = words => { document.getElementById("alarm-status").textContent = words; };
    if (what === "shelve-alarm") {
      const hours = prompted("For how many hours is nothing to be told of it? At most 168.", alarm, "2");
      const reason = hours === null ? null : prompted("Why is it shelved?", alarm);
      if (reason === null) return;
      Object.assign(said, { hours: Number(hours), reason });
    }
    const key = JSON.stringify([what, said]);
    asked[key] ??= newId();
    status("");
    const why = await act(below(`/act/${what}`), said, asked[key]);
    if (!why) { delete asked[key]; forget(alarm); }
    status(why || (what === "shelve-alarm" ? "Shelved." : "Acknowledged."));
  };
  const decide = async ({ dataset: { act: path, said, asks } }, status) => {
    const reason = prompted(asks, said);
    if (reason === null) return;
    const all = { ...JSON.parse(said), reason }, key = JSON.stringify([path, all]);
    asked[key] ??= newId();
    if (status) status.textContent = "";
    const why = await act(path, all, asked[key]);
    if (!why) { delete asked[key]; forget(said); }
    if (status) status.textContent = why || "Done, and noted.";
    else if (why) window.alert(why);
  };
  // When it is over: up to a run, or until a time.
  const endOf = words => (/^\d+$/.test(words) ? { last: Number(words) } : { until_us: Date.parse(`${words}Z`) * 1000 });
  const onIssue = async ({ dataset: { act: what, issue } }) => {
    const said = { issue }, status = words => { document.getElementById("alarm-status").textContent = words; };
    if (what === "extend-issue") {
      const end = prompted("Up to which run is it still so, or until when (as 2026-12-31T08:00, UTC)?", issue);
      if (!end) return;
      Object.assign(said, endOf(end.trim()));
    } else {
      const reason = prompted("Why is it no more so?", issue);
      if (reason === null) return;
      said.reason = reason;
    }
    const key = JSON.stringify([what, said]);
    asked[key] ??= newId();
    status("");
    const why = await act(below(`/act/${what}`), said, asked[key]);
    if (!why) { delete asked[key]; forget(issue); }
    status(why || (what === "extend-issue" ? "It is still so." : "Withdrawn."));
  };
  const addIssue = async form => {
    const { of, text, owner, first, last, until } = Object.fromEntries(new FormData(form)), button = form.querySelector("button");
    const ends = {}, status = document.getElementById("issue-status");
    if (first !== "") ends.first = Number(first);
    if (last !== "") ends.last = Number(last);
    if (until !== "") Object.assign(ends, endOf(until));
    button.disabled = true;
    status.textContent = "";
    const why = await act(below("/act/add-issue"), { of, text, owner, ...ends }, form.dataset.id);
    button.disabled = false;
    if (!why) form.reset();
    form.dataset.id = newId();
    status.textContent = why || `Noted: ${text}`;
  };
  const prepareIssue = of => {
    const { elements, dataset } = document.getElementById("issue-form");
    tell();
    dataset.id = newId();
    elements.of.value = of;
    if (who?.name && who.way !== "machine") elements.owner.value ||= who.name;
    document.getElementById("issue-status").textContent = "";
    (of ? elements.text : elements.of).focus();
  };
  // The run that one notes something of is the one that was shown when this was opened.
  // So does its picture: it is of what stood there then.
  let pictured = null;
  const LONGEST_NOTE = 1000, PICTURE_MOST = 900000;
  const said = part => [".mark", ".what", ".words"].map(each => part.querySelector(each)?.textContent).filter(Boolean).join(" ");
  const lastSpill = () => {
    const numbers = [...document.querySelectorAll("#strip .numbers > *")];
    return numbers.find(each => each.querySelector(".what")?.textContent.startsWith("Last spill"))?.querySelector(".value").textContent;
  };
  // What is wrong by the tiles, or how the plot is that one looks at; as of which spill.
  const seen = (words, spill) => {
    const told = words || [...document.querySelectorAll("#tiles .tile:is(.bad, .warning, .one)")].map(said).join("; ") || "nothing is told to be wrong";
    return `As of spill ${spill ?? "–"}: ${told}`.slice(0, LONGEST_NOTE);
  };
  // An alarm's own page has no strip, and says with its button which run it is.
  const prepareNote = ({ plot, words, run = document.querySelector("#flags-shares [data-run]")?.dataset.run, spill = lastSpill() }) => {
    const form = document.getElementById("note-form");
    tell();
    if (run === undefined) return;
    Object.assign(form.dataset, { plot, run, id: newId() });
    form.querySelector("button").textContent = `Log it of run ${run}`;
    document.getElementById("note-status").textContent = "";
    pictured = window.pictured().catch(() => null);
    form.elements.text.value = seen(words, spill);
    form.elements.text.focus();
    form.elements.text.select();
  };
  const logged = form => {
    const { run } = form.dataset, text = form.elements.text.value, link = new URL(window.location.href);
    if (!document.body.matches(".one-alarm")) link.searchParams.set("run", run); // an alarm is of its own
    return { run, text, link, words: `Run ${run}: ${text}\n${link.href}` };
  };
  const bytes = base64 => Uint8Array.from(atob(base64), each => each.charCodeAt(0));
  // Without TLS a browser has no clipboard but on its own machine; one that takes no picture takes the words.
  const toClipboard = async (words, picture) => {
    const parts = { "text/plain": new Blob([words], { type: "text/plain" }) };
    if (picture) parts["image/png"] = new Blob([bytes(picture.png)], { type: "image/png" });
    try {
      await navigator.clipboard.write([new ClipboardItem(parts)]);
      return true;
    } catch {
      return Boolean(navigator.clipboard) && navigator.clipboard.writeText(words).then(() => true, () => false);
    }
  };
  const escaped = text => text.replace(/[\\`*_{}[\]<>#|!~]/g, "\\$&");
  const asMarkdown = async form => {
    const { run, text, link } = logged(form), picture = await pictured, title = picture?.title || `Run ${run}`;
    const parts = [`# ${escaped(`Run ${run}`)}`, escaped(text), ...(picture ? [`![${escaped(title)}](data:image/png;base64,${picture.png})`] : []), `<${link.href}>`];
    const file = document.createElement("a");
    file.href = URL.createObjectURL(new Blob([parts.join("\n\n") + "\n"], { type: "text/markdown" }));
    file.download = `${picture?.file ?? `run-${run}`}.md`;
    file.click();
    setTimeout(() => URL.revokeObjectURL(file.href), ANSWER_MS);
  };
  // What the logbook does not take is told to who logged it, wherever he looks by then.
  const TOLD_MS = 1000;
  const follow = async (id, run, status) => {
    const words = why => `The logbook has not got what was logged of run ${run}: ${why}. It is in the record`;
    let place;
    for (;;) {
      await new Promise(resolve => setTimeout(resolve, TOLD_MS));
      let its = { told: false, waits: false, why: "nobody knows more of it here" };
      try {
        const answer = await fetch(below("/logged?") + new URLSearchParams({ id }), { cache: "no-store" });
        if (answer.ok) its = await answer.json();
        else if (answer.status !== 404) continue;
      } catch {
        continue; // the page says that it lost its server
      }
      if (its.told) {
        place?.remove();
        if (status.textContent.startsWith("Noted")) status.textContent += " The logbook has it.";
        return;
      }
      if (!its.why) continue;
      if (status.textContent.startsWith("Noted")) status.textContent = `Noted. ${words(its.why)}.`; // it may stand over what follows
      if (!place) {
        place = element("div", { class: "logged bad", role: "status" }, element("span", {}), element("button", { class: "choice", type: "button" }, "Close"));
        place.lastChild.addEventListener("click", () => { place.hidden = true; });
        document.body.append(place);
      }
      place.firstChild.textContent = `✕ ${words(its.why)}${its.waits ? ", and told again." : "."} `;
      if (!its.waits) return;
    }
  };
  const note = async form => {
    const { plot, id } = form.dataset, { run, text, link, words } = logged(form), button = form.querySelector("button");
    const status = document.getElementById("note-status");
    button.disabled = true;
    status.textContent = "";
    const picture = await pictured, png = who?.logbook && picture && picture.png.length <= PICTURE_MOST ? picture.png : "";
    const why = await act(below("/act/note"), { run: Number(run), text, plot, path: link.pathname + link.search, picture: png }, id);
    button.disabled = false;
    status.textContent = why || "Noted.";
    if (why) return;
    form.dataset.id = newId();
    form.reset();
    if (await toClipboard(words, picture)) status.textContent = "Noted, and in the clipboard.";
    if (who?.logbook) follow(id, run, status);
  };
  const logOut = async () => {
    if (!(await act(below("/log-out"), {}, newId()))) ask();
  };
  // The run that one flags is the one that was shown when this was opened, whichever begins meanwhile.
  const prepare = () => {
    const form = document.getElementById("flag-form"), shown = document.querySelector("#flags-shares [data-run]");
    tell();
    if (!form || !shown) return;
    form.dataset.run = shown.dataset.run;
    form.dataset.id = newId();
    form.querySelector("button").textContent = `Set flag of run ${shown.dataset.run}`;
    say("");
  };
  const flag = async form => {
    const said = Object.fromEntries(new FormData(form)), button = form.querySelector("button");
    const spills = {};
    for (const end of ["first", "last"]) if (said[end] !== "") spills[end] = Number(said[end]);
    const { verdict, detector, reason } = said;
    button.disabled = true;
    say("");
    const why = await act(below("/act/flag"), { run: Number(form.dataset.run), verdict, detector, reason, ...spills }, form.dataset.id);
    button.disabled = false;
    if (!why) {
      form.dataset.id = newId();
      form.reset();
    }
    say(why || `Noted: run ${form.dataset.run} is ${verdict}.`);
  };
  // What the checks propose is set by who takes it over, and may be changed before.
  const takeOver = ({ verdict, detector, first, last, reason }) => {
    const { elements } = document.getElementById("flag-form");
    for (const [name, value] of Object.entries({ verdict, detector, first, last, reason })) elements[name].value = value;
    elements.verdict[0].dispatchEvent(new Event("input", { bubbles: true }));
    document.querySelector("#flag-form button").focus();
  };
  document.addEventListener("click", event => {
    const button = event.target.closest("[data-act]");
    if (button?.dataset.act === "take-over") return takeOver(button.dataset);
    if (button?.dataset.alarm) return onAlarm(button);
    if (button?.dataset.said) return decide(button, button.closest("dialog, #page")?.querySelector("[role=status]"));
    if (button?.dataset.issue) return onIssue(button);
    if (button) return button.dataset.act === "log-out" ? logOut() : remark(button);
    if (event.target.closest("[data-do=flags]")) setTimeout(prepare); // when it is open
    const noting = event.target.closest("[data-do=issue]");
    if (noting) setTimeout(prepareIssue, 0, noting.dataset.of);
    const logging = event.target.closest("[data-do=note]");
    if (logging) setTimeout(prepareNote, 0, logging.dataset);
    if (event.target.closest("[data-log=markdown]")) asMarkdown(document.getElementById("note-form"));
  });
  document.addEventListener("input", ({ target }) => {
    if (["flag-form", "issue-form", "note-form"].includes(target.form?.id)) target.form.dataset.id = newId(); // another action than before
  });
  document.addEventListener("submit", event => {
    const send = { "flag-form": flag, "issue-form": addIssue, "note-form": note }[event.target.id];
    if (!send) return;
    event.preventDefault();
    send(event.target);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  // Dash makes the head some time after the page has come.
  const begin = setInterval(() => {
    if (!document.getElementById("who")) return;
    clearInterval(begin);
    ask();
    new MutationObserver(tell).observe(document.getElementById("page"), { childList: true });
  }, 100);
  if (document.getElementById("flags")?.open) prepare(); // opened before this had come
})();

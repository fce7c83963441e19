// Alarms that are heard: made in the browser, off until somebody switches it on here.
(function () {
  const KEPT = "spilldeck-sound", HEARD = "spilldeck-heard", LOOK_MS = 1000, AGAIN_MS = 60000, TIMES = 4, KEPT_HEARD = 500;
  // Hz, one after the other: what matters more has more tones, and higher ones.
  const TONES = { high: [880, 1175, 880, 1175], medium: [660, 880], low: [440] };
  const TONE_S = 0.18, PAUSE_S = 0.07, LOUD = 0.25;
  const kept = (name, otherwise) => { try { return JSON.parse(localStorage.getItem(name)) ?? otherwise; } catch { return otherwise; } };
  const keep = (name, value) => localStorage.setItem(name, JSON.stringify(value));
  let context;
  const isOn = () => kept(KEPT, false) === true;
  // Browsers let no page sound on which nobody has clicked or typed yet.
  const canSound = () => context?.state === "running";
  const wake = async () => {
    if (!isOn()) return;
    context ??= new AudioContext();
    if (context.state !== "running") await context.resume().catch(() => {});
    show();
  };
  const play = (priority, after_s = 0) => {
    (TONES[priority] ?? TONES.low).forEach((hertz, at) => {
      const tone = context.createOscillator(), gain = context.createGain();
      const begin = context.currentTime + after_s + at * (TONE_S + PAUSE_S);
      tone.frequency.value = hertz;
      gain.gain.setValueAtTime(0, begin);
      gain.gain.linearRampToValueAtTime(LOUD, begin + 0.02);
      gain.gain.setValueAtTime(LOUD, begin + TONE_S - 0.02);
      gain.gain.linearRampToValueAtTime(0, begin + TONE_S);
      tone.connect(gain).connect(context.destination);
      tone.start(begin);
      tone.stop(begin + TONE_S);
    });
  };
  // What waits stands in the link to the alarms, the same on every page.
  const waiting = () => {
    const link = document.querySelector("#navigation a[data-waiting]");
    return link ? link.dataset.waiting.split(" ").filter(Boolean).map(each => each.split(":")) : null;
  };
  // What was heard is kept where one tab has it at a time: what another one wrote to localStorage comes late.
  const open = () => new Promise((resolve, reject) => {
    const asked = indexedDB.open(HEARD);
    asked.onupgradeneeded = () => asked.result.createObjectStore(HEARD);
    Object.assign(asked, { onsuccess: () => resolve(asked.result), onerror: () => reject(asked.error) });
  });
  let opened, own = {};
  // Has `change` make of what was heard what is heard from now on, and returns what else it gives.
  const changed = async change => {
    try {
      const its = (await (opened ??= open())).transaction(HEARD, "readwrite"), store = its.objectStore(HEARD);
      return await new Promise((resolve, reject) => {
        let found;
        store.get(HEARD).onsuccess = ({ target }) => {
          const { now, due } = change(target.result ?? {});
          found = due;
          store.put(Object.fromEntries(Object.entries(now).slice(-KEPT_HEARD)), HEARD);
        };
        Object.assign(its, { oncomplete: () => resolve(found), onabort: () => reject(its.error) });
      });
    } catch { // a browser that keeps nothing: each tab by itself
      const { now, due } = change(own);
      own = now;
      return due;
    }
  };
  // Of several tabs the first that asks has it.
  const look = async () => {
    const waits = waiting();
    if (!waits?.length || !isOn() || !canSound()) return;
    const time = Date.now();
    const due = await changed(heard => {
      const due = waits.filter(([, id]) => {
        const [times, at] = heard[id] ?? [0, 0];
        return times < TIMES && time - at >= AGAIN_MS;
      });
      return { now: { ...heard, ...Object.fromEntries(due.map(([, id]) => [id, [(heard[id]?.[0] ?? 0) + 1, time]])) }, due };
    });
    if (!due.length) return;
    const order = Object.keys(TONES);
    play(due.map(([priority]) => priority).sort((one, other) => order.indexOf(one) - order.indexOf(other))[0]);
  };
  const show = () => {
    // Whoever relies on being called has to be told on every page that he is not; see the style sheet.
    document.documentElement.toggleAttribute("data-silent", isOn() && !canSound());
    const button = document.getElementById("sound");
    if (!button) return;
    button.disabled = false;
    const on = isOn(), words = !on ? "Sound: off" : canSound() ? "Sound: on" : "Sound: on, but silent until you click or press a key here";
    if (button.textContent !== words) button.textContent = words;
    button.setAttribute("aria-checked", String(on));
    button.classList.toggle("on", on);
  };
  const turn = async () => {
    const on = !isOn();
    // What is there already is no news to who switches it on.
    const there = Object.fromEntries((waiting() ?? []).map(([, id]) => [id, [TIMES, Date.now()]]));
    if (on) await changed(heard => ({ now: { ...heard, ...there } }));
    keep(KEPT, on);
    await wake();
    show();
  };
  const test = async () => {
    context ??= new AudioContext();
    await context.resume().catch(() => {});
    Object.keys(TONES).forEach((priority, at) => play(priority, 1.5 * at));
    const status = document.getElementById("alarm-status");
    if (status) status.textContent = canSound() ? "You hear three patterns: high, medium, low." : "This browser lets the page make no sound.";
    show();
  };
  document.addEventListener("click", event => {
    const button = event.target.closest("[data-sound]");
    if (button?.dataset.sound === "turn") turn();
    else if (button?.dataset.sound === "test") test();
    else wake();
  });
  document.addEventListener("keydown", wake);
  window.addEventListener("storage", show);
  // A browser lets the clock of a hidden page strike once a minute: what comes is heard when it comes.
  const came = new MutationObserver(look);
  let watched;
  const attend = () => {
    const navigation = document.getElementById("navigation");
    if (!navigation || navigation === watched) return;
    watched = navigation;
    came.disconnect();
    came.observe(navigation, { childList: true, subtree: true, attributeFilter: ["data-waiting"] });
  };
  setInterval(() => { attend(); show(); look(); }, LOOK_MS);
  attend();
  wake();
  show();
})();

// Plots on the page: each is painted, and is plotly's for as long as somebody points at it, zooms it, or is in it with
// the keyboard. Plotly is fetched only then.
window.plots = (function () {
  const RESTS_MS = 300;
  const AHEAD_PX = "200px"; // beyond the screen: what is scrolled to stands there already
  const CONFIG = {
    displaylogo: false, responsive: true,
    // The last one would send the plot to its maker's cloud.
    modeBarButtonsToRemove: ["select2d", "lasso2d", "sendChartToCloud", "toImage"],
  };
  const of = new WeakMap(); // each plot's figure and parts
  const taken = new Set();
  const all = () => [...document.querySelectorAll(".figure")].filter(plot => of.has(plot));
  const made = (type, className) => Object.assign(document.createElement(type), { className });

  // A plot that has just come onto the page.
  const stand = plot => {
    if (!of.has(plot)) {
      const its = { canvas: made("canvas", ""), title: made("div", "gtitle"), words: made("div", "instead"), done: [] };
      of.set(plot, its);
      plot.append(its.canvas, its.title, its.words);
      its.canvas.setAttribute("role", "img");
      // What stands there, for whoever asks: as it was told, and where it was painted.
      const told = { data: () => its.figure.data, layout: () => layoutOf(its), placed: () => its.placed };
      for (const [name, get] of Object.entries(told)) Object.defineProperty(plot, name, { get });
      for (const [kind, act] of Object.entries(acts)) plot.addEventListener(kind, event => act(plot, its, event));
      sizes.observe(plot);
      screen.observe(plot);
    }
    show(plot, JSON.parse(plot.dataset.figure));
    // Plotly hears of the window for ever if it is not told that its plot has left the page.
    for (const other of taken) if (!other.isConnected) give(other);
  };
  // The layout of what stands there, with where its axes end.
  const layoutOf = ({ figure: { layout }, graph, placed }) => {
    const ends = { xaxis: placed?.across.ends, yaxis: placed?.up.ends }, axes = {};
    for (const name of ["xaxis", "yaxis"]) axes[name] = graph ? graph.layout[name] : { ...layout[name], ...(ends[name] && { range: [...ends[name]] }) };
    return { ...layout, ...axes };
  };
  // A newer figure. Axes keep what it does not say of them, if `zoom` does: a zoom is the shifter's.
  const show = (plot, figure, zoom = false) => {
    const its = of.get(plot), { layout } = figure;
    its.figure = figure;
    plot.classList.toggle("known", Boolean(layout.meta?.known));
    window.painter.set(its.title, layout.title.text);
    const font = { ...layout.font, ...layout.title.font };
    its.title.style.fontSize = `${font.size}px`;
    its.title.style.top = `calc(${layout.title.pad.t}px - ${window.painter.baseline(font).toFixed(3)}em)`;
    window.painter.set(its.words, layout.annotations.map(({ text }) => text).join("<br>"));
    const axes = ["yaxis", "xaxis"].map(name => layout[name].title?.text).filter(Boolean);
    plot.setAttribute("aria-label", its.title.firstChild.textContent);
    its.canvas.setAttribute("aria-label", axes.join(" against ").replaceAll("<br>", " ") || (figure.data.length ? "Plot" : "No picture"));
    its.isNew = true;
    its.isUnknown = window.painter.unknown(figure).length > 0;
    if (its.isUnknown) take(plot);
    if (its.graph) tell(its, zoom);
    else soon();
    settle(plot);
  };

  let isSoon = false;
  const soon = () => {
    if (!isSoon) requestAnimationFrame(paintNew);
    isSoon = true;
  };
  const paintNew = () => {
    isSoon = false;
    const waiting = all().filter(plot => of.get(plot).isNew && of.get(plot).isSeen && !of.get(plot).graph);
    // All are measured before any is painted, or the page would be laid out once for each.
    const measured = waiting.map(plot => [plot, plot.clientWidth, plot.clientHeight, plot.getBoundingClientRect()]);
    for (const [plot, width, height, box] of measured) if (width && height) paint(plot, width, height, box);
  };
  const paint = (plot, width, height, box) => {
    const its = of.get(plot), ratio = (box.width / width) * window.devicePixelRatio;
    its.placed = window.painter.paint(its.canvas, its.figure, width, height, ratio);
    its.isNew = false;
    // A pixel of the picture is one of the screen, or all would be blurred.
    const beside = at => (Math.round(at * window.devicePixelRatio) - at * window.devicePixelRatio) / ratio;
    const { canvas, words, placed: { paper } } = its;
    Object.assign(canvas.style, { left: `${beside(box.x)}px`, top: `${beside(box.y)}px`, width: `${canvas.width / ratio}px`, height: `${canvas.height / ratio}px` });
    Object.assign(words.style, { left: `${paper.x}px`, top: `${paper.y}px`, width: `${paper.width}px`, height: `${paper.height}px` });
    stands(plot, its);
  };
  const stands = (plot, its) => {
    plot.painted = its.figure;
    plot.dispatchEvent(new Event("painted"));
  };
  const anew = plot => { of.get(plot).isNew = true; soon(); };
  const sizes = new ResizeObserver(changed => changed.forEach(({ target }) => anew(target)));
  const screen = new IntersectionObserver(changed => {
    for (const { target, isIntersecting } of changed) of.get(target).isSeen = isIntersecting;
    soon();
  }, { rootMargin: AHEAD_PX });
  window.addEventListener("beforeprint", () => { for (const plot of all()) of.get(plot).isSeen = true; paintNew(); });

  // Plotly takes a plot over. What was done to the plot while it was fetched is done to plotly's.
  const take = async plot => {
    const its = of.get(plot);
    if (its.isTaken) return;
    its.isTaken = true;
    await window.loading.plotly();
    if (!plot.isConnected || !(wanted(plot, its) || its.done.length)) {
      its.isTaken = false;
      return;
    }
    const graph = made("div", "graph");
    plot.append(graph);
    its.graph = graph;
    const { data, layout } = plotlys(its);
    await window.Plotly.newPlot(graph, data, layout, CONFIG);
    plot.toggleAttribute("data-taken", true);
    taken.add(plot);
    graph.on("plotly_relayout", () => settle(plot));
    graph.on("plotly_afterplot", () => stands(plot, its));
    stands(plot, its);
    for (const event of its.done.splice(0)) again(event);
    if (its.at) again(its.at);
    settle(plot);
  };
  // Its title stands beside it; what plotly writes into a layout is not the figure's.
  const plotlys = ({ figure: { data, layout: { title, ...layout } }, placed }) => {
    const axes = { xaxis: { ...layout.xaxis, ...angle(placed, layout) }, yaxis: { ...layout.yaxis } };
    return { data, layout: { ...layout, ...axes, autosize: true, annotations: [] } };
  };
  // Names that stand level stay so: plotly turns them at a width at which they just fit, if it comes from a smaller one.
  const angle = (placed, { xaxis }) => (xaxis.tickvals && placed?.across.angle === 0 ? { tickangle: 0 } : {});
  const again = ({ type, clientX, clientY, button, buttons, detail }) => {
    const how = { bubbles: true, cancelable: true, view: window, clientX, clientY, button, buttons, detail };
    document.elementFromPoint(clientX, clientY)?.dispatchEvent(new MouseEvent(type, how));
  };
  const tell = (its, zoom) => {
    const before = its.graph.layout, { data, layout } = plotlys(its);
    if (zoom) for (const axis of ["xaxis", "yaxis"]) layout[axis] = { ...before[axis], ...layout[axis] };
    window.Plotly.react(its.graph, data, layout);
  };
  const isZoomed = ({ graph }) => ["xaxis", "yaxis"].some(name => graph._fullLayout[name].autorange === false);
  const wanted = (plot, its) => its.isUnknown || plot.matches(":hover, :focus-within") || (its.graph && (its.graph._dragging || isZoomed(its)));
  // The painter takes a plot back when nobody is at it any more.
  const settle = plot => {
    const its = of.get(plot);
    clearTimeout(its.leaving);
    its.leaving = setTimeout(() => {
      if (!plot.hasAttribute("data-taken") || wanted(plot, its)) return;
      give(plot);
    }, RESTS_MS);
  };
  const give = plot => {
    const its = of.get(plot), { graph } = its;
    its.graph = null;
    its.isTaken = false;
    its.isNew = true;
    plot.removeAttribute("data-taken");
    taken.delete(plot);
    paintNew();
    window.Plotly.purge(graph);
    graph.remove();
  };
  const points = (plot, its, event) => {
    its.at = event;
    clearTimeout(its.resting);
    if (!its.isTaken) its.resting = setTimeout(() => { if (plot.matches(":hover")) take(plot); }, RESTS_MS);
  };
  const acts = {
    mouseenter: points, // also when the plot comes to the pointer
    mousemove: points,
    mouseleave: (plot, its) => {
      its.at = null;
      clearTimeout(its.resting);
      settle(plot);
    },
    mousedown: (plot, its, event) => {
      if (plot.hasAttribute("data-taken") || its.title.contains(event.target)) return;
      if (event.target === its.canvas) event.preventDefault(); // a zoom, not what is selected
      its.done.push(event);
      pressed = its;
      take(plot);
    },
    focusin: (plot, its, { target }) => { if (target.matches(":focus-visible")) take(plot); },
    focusout: plot => settle(plot),
  };
  let pressed;
  for (const kind of ["mousemove", "mouseup"]) {
    document.addEventListener(kind, event => {
      if (!pressed?.done.length) return;
      pressed.done.push(event);
      if (kind === "mouseup") pressed = null;
    }, true);
  }
  // All axes end again where the figures have them end.
  const reset = () => {
    for (const plot of all()) if (of.get(plot).graph) window.Plotly.relayout(of.get(plot).graph, { "xaxis.autorange": true, "yaxis.autorange": true });
  };
  return { stand, show, reset, angle };
})();

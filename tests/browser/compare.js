// Draws a figure by the painter and by plotly, and tells where they differ.
window.compare = async (figure, width, height, tolerance_px) => {
  const stage = document.createElement("div");
  stage.style = `position: absolute; left: 0; top: 0; width: ${width}px; height: ${height}px; background: white`;
  document.body.append(stage);
  const canvas = document.createElement("canvas");
  const its = window.painter.paint(canvas, structuredClone(figure), width, height, 1);
  const layout = { ...structuredClone(figure.layout), width, height };
  delete layout.title;
  Object.assign(layout.xaxis, window.plots.angle(its, layout));
  await window.Plotly.newPlot(stage, structuredClone(figure.data), layout, { staticPlot: true });
  const full = stage._fullLayout, told = [];
  const near = (what, ours, theirs, within = tolerance_px) => {
    if (!(Math.abs(ours - theirs) <= within)) told.push(`${what}: ${ours.toFixed(2)}, plotly ${theirs.toFixed(2)}`);
  };
  const numbers = axis => [axis._offset, axis._length];
  if (figure.data.length) {
    const area = its.area, [x, w] = numbers(full.xaxis), [y, h] = numbers(full.yaxis);
    near("left", area.x, x), near("width", area.width, w), near("top", area.y, y), near("height", area.height, h);
    for (const [letter, axis] of [["x", its.across], ["y", its.up]]) {
      const { range } = full[`${letter}axis`], span = range[1] - range[0];
      near(`${letter} begins`, axis.ends[0] / span, range[0] / span, 0.003), near(`${letter} ends`, axis.ends[1] / span, range[1] / span, 0.003);
      const theirs = [...stage.querySelectorAll(`.${letter}tick text`)].map(text => ({ text: text.textContent.replaceAll("\u200b", ""), box: text.getBoundingClientRect() }));
      const ours = axis.ticks.filter(tick => tick.text).map(tick => ({ text: tick.words.lines.map(line => line.map(piece => piece.text).join("")).join(""), box: tick.box }));
      const [one, other] = [ours, theirs].map(all => all.map(each => each.text).join(" | "));
      if (one !== other) told.push(`${letter} ticks: ${one}, plotly ${other}`);
      else ours.forEach((tick, n) => { for (const side of ["left", "right", "top", "bottom"]) near(`${letter} tick ${tick.text} ${side}`, tick.box[side], theirs[n].box[side], tolerance_px + 0.5); });
      const heading = stage.querySelector(`.${letter}title`)?.getBoundingClientRect();
      if (Boolean(heading) !== Boolean(axis.title)) told.push(`${letter} title: ${Boolean(axis.title)}`);
      else if (heading) {
        const { x: at, y: up } = axis.title.at, { width: wide, above, below } = axis.title.words;
        const box = letter === "x" ? [at - wide / 2, up - above] : [at - above, up - wide / 2];
        near(`${letter} title left`, box[0], heading.left, tolerance_px + 0.5), near(`${letter} title top`, box[1], heading.top, tolerance_px + 0.5);
      }
    }
  }
  const url = await window.Plotly.toImage(stage, { format: "png", width, height, scale: 1 });
  const image = new Image();
  image.src = url;
  await image.decode();
  const pixels = source => {
    const paper = document.createElement("canvas");
    [paper.width, paper.height] = [width, height];
    const pen = paper.getContext("2d");
    pen.fillStyle = "white";
    pen.fillRect(0, 0, width, height);
    pen.drawImage(source, 0, 0);
    return [pen.getImageData(0, 0, width, height).data, paper.toDataURL()];
  };
  const [[one, ours], [other, theirs]] = [pixels(canvas), pixels(image)];
  let off = 0;
  for (let n = 0; n < one.length; n += 4) {
    const far = Math.max(Math.abs(one[n] - other[n]), Math.abs(one[n + 1] - other[n + 1]), Math.abs(one[n + 2] - other[n + 2]));
    if (far > 96) off += 1;
  }
  window.Plotly.purge(stage);
  stage.remove();
  return { told, share: off / (width * height), ours, theirs };
};

// What a figure shows of its data: lines and what they fill, points with their errors, cells, and frames about them.
window.painter = window.painter || {};
Object.assign(window.painter, (function () {
  const { edges } = window.painter;
  const SHADES = 256;
  const POINT_PX = 6;
  const dashes = (dash, width) => ({ dot: [1, 1], dash: [3, 3] }[dash] ?? []).map(times => times * Math.max(width, 3));

  // The pieces of a line, in pixels: broken where a value is not known, in steps where it goes so.
  const pieces = ({ x, y, line }, across, up) => {
    const found = [], isStepped = line?.shape === "hv";
    let piece = [];
    for (let n = 0; n < x.length; n++) {
      const point = [across.reach(x[n]), up.reach(y[n])];
      if (y[n] === null) {
        if (piece.length) found.push(piece);
        piece = [];
        continue;
      }
      if (isStepped && piece.length) piece.push([point[0], piece.at(-1)[1]]);
      piece.push(point);
    }
    if (piece.length) found.push(piece);
    return found;
  };
  const along = (pen, points, goesOn) => points.forEach(([x, y], n) => (n || goesOn ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  const filled = {
    tozeroy: (pen, its, _, up) => {
      const zero = up.px(0);
      for (const piece of its) along(pen, [...piece, [piece.at(-1)[0], zero], [piece[0][0], zero]]);
    },
    tonexty: (pen, its, before) => {
      along(pen, its.flat());
      along(pen, (before ?? []).flat().reverse(), true);
    },
    toself: (pen, its) => its.forEach(piece => { along(pen, piece); pen.closePath(); }),
  };
  const scatter = (pen, trace, { across, up, before }) => {
    const its = pieces(trace, across, up), { line, marker, mode, error_y: errors } = trace;
    pen.globalAlpha = trace.opacity ?? 1;
    if (filled[trace.fill] && its.length) {
      pen.beginPath();
      filled[trace.fill](pen, its, before, up);
      pen.fillStyle = trace.fillcolor;
      pen.fill();
    }
    if (errors) {
      pen.beginPath();
      trace.y.forEach((value, n) => {
        const error = errors.array[n], x = across.px(trace.x[n]);
        if (value === null || error === null) return;
        pen.moveTo(x, up.px(value + error));
        pen.lineTo(x, up.reach(value - error));
      });
      Object.assign(pen, { strokeStyle: errors.color, lineWidth: errors.thickness });
      pen.stroke();
    }
    if (mode.includes("lines") && line.width) {
      pen.beginPath();
      for (const piece of its) along(pen, piece);
      Object.assign(pen, { strokeStyle: line.color, lineWidth: line.width });
      pen.setLineDash(dashes(line.dash, line.width));
      pen.stroke();
      pen.setLineDash([]);
    }
    if (mode.includes("markers")) points(pen, trace, marker, across, up);
    pen.globalAlpha = 1;
    return its;
  };
  // Points of one colour are one path: each by itself would take as long as the line.
  const points = (pen, { x, y }, { size = POINT_PX, color }, across, up) => {
    const colours = Array.isArray(color) ? color : x.map(() => color);
    for (const colour of new Set(colours)) {
      pen.beginPath();
      x.forEach((value, n) => {
        const at = [across.px(value), up.px(y[n])];
        if (colours[n] !== colour || y[n] === null || !at.every(Number.isFinite)) return;
        pen.moveTo(at[0] + size / 2, at[1]);
        pen.arc(...at, size / 2, 0, 2 * Math.PI);
      });
      pen.fillStyle = colour;
      pen.fill();
    }
  };

  const scales = new Map();
  // Colours from the first to the last in SHADES steps, as the bytes of a picture.
  const shades = stops => {
    const name = JSON.stringify(stops);
    if (!scales.has(name)) {
      const strip = document.createElement("canvas");
      [strip.width, strip.height] = [SHADES, 1];
      const pen = strip.getContext("2d", { willReadFrequently: true });
      pen.fillStyle = ramp(pen, stops, [0.5, 0, SHADES - 0.5, 0]);
      pen.fillRect(0, 0, SHADES, 1);
      scales.set(name, new Uint32Array(pen.getImageData(0, 0, SHADES, 1).data.buffer));
    }
    return scales.get(name);
  };
  const ramp = (pen, stops, way) => {
    const made = pen.createLinearGradient(...way);
    for (const [share, colour] of stops) made.addColorStop(share, colour);
    return made;
  };
  // Cells end at whole pixels: as a picture of so many, they take as long as an image of the size of the plot.
  const heatmap = (pen, trace, { across, up }) => {
    if (trace.opacity === 0) return;
    const xs = edges(trace, "x").map(value => Math.round(across.px(value))), ys = edges(trace, "y").map(value => Math.round(up.px(value)));
    const [left, top] = [Math.min(xs[0], xs.at(-1)), Math.min(ys[0], ys.at(-1))];
    const [width, height] = [Math.abs(xs.at(-1) - xs[0]), Math.abs(ys.at(-1) - ys[0])];
    if (!(width > 0 && height > 0)) return;
    const picture = document.createElement("canvas");
    [picture.width, picture.height] = [width, height];
    const its = picture.getContext("2d"), image = its.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    const colours = shades(trace.colorscale), { zmin, zmax } = trace;
    trace.z.forEach((row, r) => {
      const [from, to] = [ys[r] - top, ys[r + 1] - top].sort((a, b) => a - b);
      if (to === from) return;
      row.forEach((value, c) => {
        if (value === null) return;
        const share = Math.min(Math.max((value - zmin) / (zmax - zmin), 0), 1);
        pixels.fill(colours[Math.round(share * (SHADES - 1))], from * width + xs[c] - left, from * width + xs[c + 1] - left);
      });
      for (let line = from + 1; line < to; line++) pixels.copyWithin(line * width, from * width, (from + 1) * width);
    });
    its.putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(picture, left, top);
  };

  const frame = (pen, shape, { across, up, area }) => {
    const at = (letter, name) => {
      const value = shape[`${letter}${name}`];
      if (shape[`${letter}ref`] !== "paper") return (letter === "x" ? across : up).px(value);
      return letter === "x" ? area.x + value * area.width : area.y + (1 - value) * area.height;
    };
    pen.beginPath();
    pen.rect(at("x", "0"), at("y", "0"), at("x", "1") - at("x", "0"), at("y", "1") - at("y", "0"));
    Object.assign(pen, { strokeStyle: shape.line.color, lineWidth: shape.line.width });
    pen.stroke();
  };
  return { marks: { scatter, heatmap }, frame, ramp };
})());

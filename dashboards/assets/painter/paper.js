// A figure on a canvas, as plotly would draw it: the room for its axes, their lines, ticks and words, and its data.
window.painter = window.painter || {};
Object.assign(window.painter, (function () {
  const { range, ticks, block, write, marks, frame, ramp } = window.painter;
  const TICK_PX = 5, LINE_PX = 1, PAD_PX = 12, GAP = 0.2, MIDDLE = 0.35, CAPITAL = 0.7, LINE = 1.3;
  const ANGLES = [0, 30, 90], BESIDE_PX = 2;
  const BAR = { x: 1.02, pad: 10 };
  const ABOVE_PX = 8; // that are free below the lines above a plot
  const FAR = 10; // lengths of an axis
  const TIMES = 5; // that room is made for words which are longer than was thought

  // All that is placed: where the axes are and end, their ticks and titles, the bar of colours.
  const placed = (figure, width, height) => {
    const { layout, data } = figure, { l, r, t, b } = layout.margin;
    let room = { l, r, t, b }, found;
    for (let time = 0; time < TIMES; time++) {
      found = within(figure, width, height, room);
      const needed = roomFor(found, figure, width, height);
      if (["l", "r", "t", "b"].every(side => Math.abs(needed[side] - room[side]) < 0.5)) break;
      room = needed;
    }
    const cells = data.find(trace => trace.type === "heatmap");
    return { ...found, room, bar: cells && { ...cells, at: BAR.x * found.paper.width + found.paper.x } };
  };
  const within = ({ data, layout }, width, height, { l, r, t, b }) => {
    const paper = { x: l, y: t, width: Math.max(width - l - r, 1), height: Math.max(height - t - b, 1) };
    const area = { ...paper };
    const ends = { x: range({ data, layout }, "x", area.width), y: range({ data, layout }, "y", area.height) };
    if (layout.yaxis.scaleanchor) {
      // As wide as high: what has room to spare is made smaller, about its middle.
      const spans = [ends.x[1] - ends.x[0], ends.y[1] - ends.y[0]], one = Math.min(area.width / spans[0], area.height / spans[1]);
      const [wide, high] = spans.map(span => span * one);
      Object.assign(area, { x: l + (paper.width - wide) / 2, y: t + (paper.height - high) / 2, width: wide, height: high });
    }
    const across = along(layout.xaxis, ends.x, area.x, area.width), up = along(layout.yaxis, ends.y, area.y + area.height, -area.height);
    for (const [letter, axis, its, length] of [["x", layout.xaxis, across, area.width], ["y", layout.yaxis, up, area.height]]) {
      its.ticks = axis.visible === false ? [] : ticks(axis, letter, ends[letter], length).map(tick => labelled(tick, axis, layout));
      its.title = axis.title?.text && axis.visible !== false ? titled(axis, layout) : null;
    }
    across.angle = layout.xaxis.tickangle === 0 ? 0 : angleOf(across);
    for (const tick of across.ticks) tick.box = boxBelow(tick, across, area);
    for (const tick of up.ticks) tick.box = boxBeside(tick, up, area);
    if (across.title) across.title.at = titleBelow(across, layout.xaxis, area, height);
    if (up.title) up.title.at = titleBeside(up, layout.yaxis, area, paper);
    return { paper, area, across, up };
  };
  // From values to pixels. A line goes to what has no place on a logarithmic axis, too: as far below as plotly has it go.
  const along = (axis, ends, from, length) => {
    const isLog = axis.type === "log", scale = length / (ends[1] - ends[0]), place = at => from + (at - ends[0]) * scale;
    const px = value => place(isLog ? Math.log10(value) : value);
    const far = place((ends[0] + ends[1]) / 2 - FAR * (ends[1] - ends[0]));
    return { ends, isLog, scale, place, px, reach: value => (isLog && value <= 0 ? far : px(value)) };
  };
  const look = (layout, size) => ({ size, family: layout.font.family, color: layout.font.color });
  const labelled = (tick, axis, layout) => ({ dx: 0, dy: 0, ...tick, words: block(tick.text, look(layout, axis.tickfont.size * (tick.larger ?? 1))) });
  const titled = (axis, layout) => ({ words: block(axis.title.text, look(layout, axis.title.font.size)), standoff: axis.title.standoff });
  // Names that would run into one another are turned.
  const angleOf = ({ ticks: its, isLog, scale }) => {
    if (isLog && its.some(tick => tick.larger && tick.larger < 1)) return 0;
    const half = tick => tick.words.width / 2;
    const meet = its.some((tick, n) => n && (tick.at - its[n - 1].at) * scale <= half(tick) + half(its[n - 1]) + BESIDE_PX);
    if (!meet) return 0;
    const apart = Math.abs((its.at(-1).at - its[0].at) * scale) / (its.length - 1);
    const high = Math.max(...its.map(tick => tick.words.look.size * 1.25 * tick.words.lines.length));
    const most = apart / Math.hypot(apart, high);
    return ANGLES.find(angle => Math.cos((angle * Math.PI) / 180) <= most) ?? ANGLES.at(-1);
  };
  const boxOf = ({ width, above, below }, x, y, anchor) => ({ left: x - anchor * width, right: x + (1 - anchor) * width, top: y - above, bottom: y + below });
  const below = area => area.y + area.height + LINE_PX / 2;
  const boxBelow = (tick, axis, area) => {
    const { words } = tick, { size } = words.look, x = axis.place(tick.at) + tick.dx;
    const y = below(area) + TICK_PX + LINE_PX / 2 + GAP * tickSize(tick) + size + tick.dy;
    tick.written = { x, y };
    if (!axis.angle) return boxOf(words, x, y, 0.5);
    const box = boxOf(words, 0, size / 2, 0), turn = (axis.angle * Math.PI) / 180, [sine, cosine] = [Math.sin(turn), Math.cos(turn)];
    const corners = [[box.left, box.top], [box.right, box.top], [box.right, box.bottom], [box.left, box.bottom]];
    const [xs, ys] = [corners.map(([a, c]) => a * cosine - c * sine), corners.map(([a, c]) => a * sine + c * cosine)];
    const middle = y - size / 2;
    return { left: x + Math.min(...xs), right: x + Math.max(...xs), top: middle + Math.min(...ys), bottom: middle + Math.max(...ys) };
  };
  const tickSize = tick => tick.words.look.size / (tick.larger ?? 1);
  const boxBeside = (tick, axis, area) => {
    const { words } = tick, { size } = words.look, more = (words.lines.length - 1) * LINE * size;
    const x = area.x - LINE_PX - TICK_PX - GAP * tickSize(tick) + tick.dx, y = axis.place(tick.at) + MIDDLE * size + tick.dy - more / 2;
    tick.written = { x, y };
    return boxOf(words, x, y, 1);
  };
  const meets = (one, other, gap) => one.left <= other.right + gap && other.left <= one.right + gap && one.top <= other.bottom + gap && other.top <= one.bottom + gap;
  // Titles of axes: as far from them as is usual, further where numbers need it, and never beyond the paper.
  const titleBelow = (axis, { title: { standoff, font: { size } } }, area, height) => {
    const depth = Math.max(...axis.ticks.map(tick => tick.box.bottom)) - below(area);
    const x = area.x + area.width / 2, usual = standoff === undefined ? 10 + 3 * size : depth + standoff + size * CAPITAL;
    const at = y => boxOf(axis.title.words, x, y, 0.5), first = below(area) - LINE_PX / 2 + usual;
    const spare = height - at(first).bottom;
    if (spare < 0) return { x, y: first + spare };
    const shifts = axis.ticks.map(tick => (meets(at(first), tick.box, BESIDE_PX) ? tick.box.bottom - at(first).top + BESIDE_PX : 0));
    return { x, y: first + Math.min(spare, Math.max(0, ...shifts)) };
  };
  const titleBeside = (axis, { title: { standoff, font: { size } } }, area, paper) => {
    const { words } = axis.title, depth = area.x - Math.min(area.x, ...axis.ticks.map(tick => tick.box.left));
    // One that is longer than there is room goes on below: above stands what the plot is of.
    const lines = words.lines.length - 1, y = Math.max(area.y + area.height / 2, paper.y - ABOVE_PX + words.width / 2);
    const usual = standoff === undefined ? 10 + 2 * size : depth + standoff + size * (MIDDLE + lines * LINE);
    const at = x => ({ left: x - words.above, right: x + words.below, top: y - words.width / 2, bottom: y + words.width / 2 });
    const first = area.x - usual, spare = at(first).left, gap = standoff === undefined ? BESIDE_PX : 0;
    if (spare < 0) return { x: first - spare, y };
    const shifts = axis.ticks.map(tick => (meets(at(first), tick.box, gap) ? at(first).right - tick.box.left + gap : 0));
    return { x: first - Math.min(spare, Math.max(0, ...shifts)), y };
  };
  const titleDepth = title => {
    if (!title) return 0;
    const { size } = title.words.look, more = title.words.lines.length - 1;
    if (title.standoff !== undefined) return size * (CAPITAL + more * LINE) + title.standoff;
    return more ? size * (more + 1) * LINE : size;
  };
  // Margins that leave all words their room: each asks for some at a place along the paper, and any two must get it.
  const roomFor = ({ paper, area, across, up }, { data, layout }, width, height) => {
    const base = layout.margin, pad = Math.min(PAD_PX, base.l, base.r, base.t, base.b);
    const asks = [{ l: [0, base.l], r: [1, base.r], t: [1, base.t], b: [0, base.b] }];
    const ask = ({ l, r, t, b }) => asks.push({ l: [l[0], l[1] + pad], r: [r[0], r[1] + pad], t: [t[0], t[1] + pad], b: [b[0], b[1] + pad] });
    const from = { x: (area.x - paper.x) / paper.width, y: 1 - (area.y + area.height - paper.y) / paper.height };
    const bounds = its => ({
      left: Math.min(...its.map(tick => tick.box.left)), right: Math.max(...its.map(tick => tick.box.right)),
      top: Math.min(...its.map(tick => tick.box.top)), bottom: Math.max(...its.map(tick => tick.box.bottom)),
    });
    if (across.ticks.length) {
      const { left, right, bottom } = bounds(across.ticks), [over, before] = [right - area.x - area.width, area.x - left];
      const depth = Math.max(bottom - area.y - area.height, TICK_PX) + titleDepth(across.title);
      const none = from.x + area.width / paper.width / 2;
      ask({ l: before > 0 ? [0, before] : [none, 0], r: over > 0 ? [1, over] : [none, 0], t: [from.y, 0], b: [from.y, depth] });
    }
    if (up.ticks.length) {
      const { left, top, bottom } = bounds(up.ticks), [under, over] = [bottom - area.y - area.height, area.y - top];
      const depth = Math.max(area.x - left, TICK_PX) + titleDepth(up.title), none = from.y + area.height / paper.height / 2;
      ask({ l: [from.x, depth], r: [from.x, 0], t: over > 0 ? [1, over] : [none, 0], b: under > 0 ? [0, under] : [none, 0] });
    }
    const cells = data.find(trace => trace.type === "heatmap");
    if (cells) {
      const { thickness, xpad, tickfont, ticktext } = cells.colorbar;
      const wide = Math.max(...ticktext.map(text => block(text, look(layout, tickfont.size)).width));
      ask({ l: [BAR.x, 0], r: [BAR.x, 2 * xpad + thickness + wide], t: [1, 0], b: [0, 0] });
    }
    const room = { l: base.l, r: base.r, t: base.t, b: base.b };
    for (const { l: [fl, l], b: [fb, b] } of asks) {
      for (const { r: [fr, r], t: [ft, t] } of asks) {
        if (fr > fl) widen(room, "l", "r", (l * fr + (r - width) * fl) / (fr - fl), (r * (1 - fl) + (l - width) * (1 - fr)) / (fr - fl));
        if (ft > fb) widen(room, "b", "t", (b * ft + (t - height) * fb) / (ft - fb), (t * (1 - fb) + (b - height) * (1 - ft)) / (ft - fb));
      }
    }
    return room;
  };
  const widen = (room, one, other, its, others) => {
    if (its + others > room[one] + room[other]) Object.assign(room, { [one]: its, [other]: others });
  };

  // Lines of a pixel, on whole pixels of the screen.
  const thin = (pen, at) => {
    const { a: ratio } = pen.getTransform(), width = Math.max(Math.round(LINE_PX * ratio), 1);
    return [Math.round(at * ratio - width / 2) / ratio, width / ratio];
  };
  const level = (pen, x, y, length) => {
    const [top, width] = thin(pen, y);
    pen.fillRect(x, top, length, width);
  };
  const upright = (pen, x, y, length) => {
    const [left, width] = thin(pen, x);
    pen.fillRect(left, y, width, length);
  };
  const grid = (pen, { area, across, up }, { xaxis, yaxis }) => {
    const isInside = (at, from, length) => at > from + 1 && at < from + length - 1;
    pen.fillStyle = xaxis.gridcolor;
    if (xaxis.showgrid !== false) {
      for (const { at } of across.ticks) if (isInside(across.place(at), area.x, area.width)) upright(pen, across.place(at), area.y, area.height);
    }
    pen.fillStyle = yaxis.gridcolor;
    if (yaxis.showgrid !== false) {
      for (const { at } of up.ticks) if (isInside(up.place(at), area.y, area.height)) level(pen, area.x, up.place(at), area.width);
    }
  };
  const lines = (pen, { area, across, up }, { xaxis, yaxis }) => {
    const [bottom, left] = [area.y + area.height, area.x];
    pen.fillStyle = xaxis.linecolor;
    level(pen, left - LINE_PX, bottom + LINE_PX / 2, area.width + LINE_PX);
    pen.fillStyle = yaxis.linecolor;
    upright(pen, left - LINE_PX / 2, area.y, area.height + LINE_PX);
    pen.fillStyle = xaxis.tickcolor;
    for (const { at } of across.ticks) upright(pen, across.place(at), bottom + LINE_PX, TICK_PX);
    pen.fillStyle = yaxis.tickcolor;
    for (const { at } of up.ticks) level(pen, left - LINE_PX - TICK_PX, up.place(at), TICK_PX);
  };
  const words = (pen, { across, up }) => {
    for (const { words: its, written: { x, y } } of across.ticks) {
      if (!across.angle) write(pen, its, x, y, 0.5);
      else turned(pen, x, y - its.look.size / 2, across.angle, () => write(pen, its, 0, its.look.size / 2, 0));
    }
    for (const { words: its, written: { x, y } } of up.ticks) write(pen, its, x, y, 1);
    if (across.title) write(pen, across.title.words, across.title.at.x, across.title.at.y, 0.5);
    if (up.title) turned(pen, up.title.at.x, up.title.at.y, -90, () => write(pen, up.title.words, 0, 0, 0.5));
  };
  const turned = (pen, x, y, degrees, draw) => {
    pen.save();
    pen.translate(x, y);
    pen.rotate((degrees * Math.PI) / 180);
    draw();
    pen.restore();
  };
  const colours = (pen, { bar, paper }, layout) => {
    const { thickness, xpad, tickvals, ticktext, tickfont } = bar.colorbar, x = Math.round(bar.at + xpad);
    const [top, bottom] = [paper.y + BAR.pad, paper.y + paper.height - BAR.pad];
    pen.fillStyle = ramp(pen, bar.colorscale, [0, bottom, 0, top]);
    pen.fillRect(x, top, thickness, bottom - top);
    tickvals.forEach((value, n) => {
      const y = bottom - ((bottom - top) * (value - bar.zmin)) / (bar.zmax - bar.zmin);
      write(pen, block(ticktext[n], look(layout, tickfont.size)), x + thickness + LINE_PX / 2, y + MIDDLE * tickfont.size, 0);
    });
  };

  // Paints a figure of a size, in pixels of the page, and returns where it placed what.
  const paint = (canvas, figure, width, height, ratio) => {
    const its = placed(figure, width, height), { layout, data } = figure;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!data.length) return its;
    grid(pen, its, layout);
    pen.save();
    pen.beginPath();
    pen.rect(its.area.x, its.area.y, its.area.width, its.area.height);
    pen.clip();
    pen.lineJoin = "miter";
    pen.miterLimit = 2;
    let before;
    for (const trace of [...data].sort((one, other) => (other.type === "heatmap") - (one.type === "heatmap"))) before = marks[trace.type](pen, trace, { ...its, before });
    for (const shape of layout.shapes) frame(pen, shape, its);
    pen.restore();
    lines(pen, its, layout);
    words(pen, its);
    if (its.bar) colours(pen, its, layout);
    return its;
  };
  return { paint };
})());

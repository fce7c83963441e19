// Words of a figure: pieces of one look, in lines, from what plotly reads as such; how wide they are, and how written.
window.painter = window.painter || {};
Object.assign(window.painter, (function () {
  const LINE = 1.3; // heights of a font from one line to the next
  const RAISED = { size: 0.7, by: 0.42 };
  const KEPT = 2000; // widths that are remembered
  // What is marked up is taken apart by the browser, in a document that runs and loads nothing, and made anew of the few
  // marks that figures use: a name that somebody gave must not become a part of the page.
  const pieces = text => {
    const said = document.createElement("template"), lines = [[]];
    said.innerHTML = text;
    const read = (node, look) => {
      if (node.nodeName === "BR") lines.push([]);
      else if (node.nodeType === Node.TEXT_NODE) lines.at(-1).push({ ...look, text: node.data });
      else {
        const { fontSize, color } = node.style ?? {};
        const own = { ...(fontSize && { size: parseFloat(fontSize) }), ...(color && { color }) };
        const marked = { ...(node.nodeName === "B" && { bold: true }), ...(node.nodeName === "SUP" && { raised: true }) };
        for (const child of node.childNodes) read(child, { ...look, ...own, ...marked });
      }
    };
    for (const child of said.content.childNodes) read(child, {});
    return lines;
  };
  const ruler = document.createElement("canvas").getContext("2d"), widths = new Map();
  const font = (piece, { size, family }) => `${piece.bold ? "bold " : ""}${(piece.size ?? size) * (piece.raised ? RAISED.size : 1)}px ${family}`;
  const measured = (text, how) => {
    const key = `${how} ${text}`;
    if (!widths.has(key)) {
      if (widths.size > KEPT) widths.clear();
      ruler.font = how;
      widths.set(key, ruler.measureText(text));
    }
    return widths.get(key);
  };
  const widthOf = (line, look) => line.reduce((sum, piece) => sum + measured(piece.text, font(piece, look)).width, 0);
  // A block of words: its lines, how wide it is, how far it goes above its first baseline and below.
  const block = (text, look) => {
    const lines = /[<&]/.test(text) ? pieces(text) : [[{ text }]];
    const { fontBoundingBoxAscent: above, fontBoundingBoxDescent } = measured("x", font({}, look));
    const isRaised = lines.some(line => line.some(piece => piece.raised));
    return {
      lines, look,
      width: Math.max(...lines.map(line => widthOf(line, look))),
      above: isRaised ? Math.max(above, look.size * RAISED.by + RAISED.size * above) : above,
      below: (lines.length - 1) * LINE * look.size + fontBoundingBoxDescent,
    };
  };
  // Written with its first baseline at a place; `anchor` is the share of each line that is before it.
  const write = (pen, { lines, look }, x, y, anchor) => {
    lines.forEach((line, n) => {
      let at = x - anchor * widthOf(line, look);
      for (const piece of line) {
        pen.font = font(piece, look);
        pen.fillStyle = piece.color ?? look.color;
        pen.fillText(piece.text, at, y + n * LINE * look.size - (piece.raised ? RAISED.by * look.size : 0));
        at += measured(piece.text, pen.font).width;
      }
    });
  };
  // Words that somebody selects, looks for or has read out: lines in an element, with the looks of their pieces.
  const set = (element, text) => {
    if (element.dataset.text === text) return;
    element.dataset.text = text;
    const lines = pieces(text), looks = JSON.stringify(lines.map(line => line.map(({ text: _, ...look }) => look)));
    // Where only words are others, as in most updates, elements stay: new ones would all be laid out.
    if (set.looks.get(element) !== looks) element.replaceChildren(...lines.map(rowOf));
    set.looks.set(element, looks);
    lines.forEach((line, row) => line.forEach(({ text: words }, at) => {
      const { firstChild } = element.children[row].children[at];
      if (firstChild.data !== words) firstChild.data = words;
    }));
  };
  set.looks = new WeakMap();
  const rowOf = line => {
    const row = document.createElement("div");
    for (const { text: words, size, color, bold } of line) {
      const piece = document.createElement(bold ? "b" : "span");
      piece.append(words);
      if (size) piece.style.fontSize = `${size}px`;
      if (color) piece.style.color = color;
      row.append(piece);
    }
    return row;
  };
  // How far below its top a browser has the baseline of a line that is LINE high, in heights of its font.
  const baseline = ({ size, family }) => {
    const { fontBoundingBoxAscent: above, fontBoundingBoxDescent: below } = measured("x", `${size}px ${family}`);
    const [up, down] = [Math.round(above), Math.round(below)];
    return (up + Math.floor((LINE * size - up - down) / 2)) / size;
  };
  return { block, write, set, baseline };
})());

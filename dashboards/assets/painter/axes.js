// The axes of a figure as plotly would choose them, since plotly may take their place at any time and nothing may jump:
// where they end, where their ticks are, and what is written at them.
window.painter = window.painter || {};
Object.assign(window.painter, (function () {
  const FREE = 0.05; // of an axis, beyond points
  const LINES_OF_GRID_PX = { x: 80, y: 40 }, FEWEST = 4, MOST = 9;
  const ROUND = [2, 5, 10];
  const DIGITS = { D1: [-0.046, 0, 0.301, 0.477, 0.602, 0.699, 0.778, 0.845, 0.903, 0.954, 1], D2: [-0.301, 0, 0.301, 0.699, 1] };
  const PREFIXES = ["f", "p", "n", "μ", "m", "", "k", "M", "B", "T"], LARGEST = 14, SMALLEST = -15;
  const PLAIN = 3; // powers of ten that are written out
  const MINUS = "−";
  const HAIR = 1e-4; // of an axis: a tick as little outside was rounded
  const SMALL_DIGIT = 0.75, LARGER_POWER = 1.25;
  // As plotly rounds: by log10, a thousand would be another power.
  const power = value => 10 ** Math.floor(Math.log(value) / Math.LN10);
  const roundUp = (value, steps) => steps.find(step => step > value) ?? steps.at(-1);
  const modulo = (value, by) => ((value % by) + by) % by;

  // What a trace wants at both ends of an axis: a value, pixels beside it, and whether more is left free.
  const wants = (values, isLog, { beside = 0, free = false, toZero = false } = {}) => {
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      if (value === null || (isLog && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return null;
    if (toZero && !isLog) [low, high] = [Math.min(0, low), Math.max(0, high)];
    const end = value => (toZero && value === 0 ? { at: 0, beside: 0, free: false } : { at: isLog ? Math.log10(value) : value, beside, free });
    return { low: end(low), high: end(high) };
  };
  const hasMarkers = trace => trace.mode?.includes("markers");
  const besideMarkers = trace => (hasMarkers(trace) ? Math.max((trace.marker?.size ?? 6) / 1.6, 3) : 0);
  const wantedBy = {
    scatter: (trace, letter, isLog) => {
      const { fill, x, y, error_y: errors } = trace, beside = besideMarkers(trace);
      const isTight = letter === "x" && !errors && (fill === "tonexty" || fill === "tozeroy" || !hasMarkers(trace));
      const isOpen = x.length < 2 || x[0] !== x.at(-1) || y[0] !== y.at(-1);
      const toZero = letter === "y" && isOpen && fill === "tozeroy";
      const wanted = [wants(trace[letter], isLog, { beside: isTight ? 0 : beside, free: !isTight, toZero })];
      if (errors && letter === "y") {
        const reach = sign => y.map((value, at) => (value === null || errors.array[at] === null ? null : value + sign * errors.array[at]));
        wanted.push(wants([...reach(-1), ...reach(1)], isLog, { free: true, toZero }));
      }
      return wanted;
    },
    heatmap: (trace, letter, isLog) => [wants(edges(trace, letter), isLog)],
  };
  // Of cells of which only the middles are known, the edges.
  const edges = (trace, letter) => {
    const at = trace[letter], cells = letter === "x" ? trace.z[0].length : trace.z.length;
    if (at.length > cells) return at;
    if (at.length === 1) return [at[0] - 0.5, at[0] + 0.5];
    const between = at.slice(1).map((value, n) => (value + at[n]) / 2);
    return [1.5 * at[0] - 0.5 * at[1], ...between, 1.5 * at.at(-1) - 0.5 * at.at(-2)];
  };
  const wantedByShape = (shape, letter, isLog) =>
    (shape[`${letter}ref`] === "paper" ? null : wants([shape[`${letter}0`], shape[`${letter}1`]], isLog, { beside: (shape.line?.width ?? 2) / 2 }));

  // Where an axis of so many pixels ends: logarithms, if it is one of them.
  const range = ({ data, layout }, letter, length) => {
    const axis = layout[`${letter}axis`], isLog = axis.type === "log";
    const wanted = [
      ...data.flatMap(trace => wantedBy[trace.type](trace, letter, isLog)),
      ...(layout.shapes ?? []).map(shape => wantedByShape(shape, letter, isLog)),
    ].filter(Boolean);
    let found = wanted.length ? within(wanted, axis, length) : [-1, letter === "x" ? 6 : 4];
    const { include = [], clipmax } = axis.autorangeoptions ?? {}, scaled = value => (isLog ? Math.log10(value) : value);
    const seen = include.map(scaled).filter(Number.isFinite);
    found = [Math.min(found[0], ...seen), Math.max(found[1], ...seen)];
    if (clipmax !== undefined) found[1] = Math.min(found[1], scaled(clipmax));
    return found;
  };
  const within = (wanted, axis, length) => {
    const toZero = axis.rangemode === "tozero", lows = wanted.map(each => each.low), highs = wanted.map(each => each.high);
    const pixels = end => end.beside + (end.free ? FREE * length : 0);
    const least = Math.min(...lows.map(end => end.at)), most = Math.max(...highs.map(end => end.at));
    if (least === most) {
      if (!toZero) return [least - 1, least + 1];
      if (!least) return [0, 1];
      const beside = Math.max(...(least > 0 ? highs : lows).map(pixels));
      const far = least / (1 - Math.min(0.5, beside / length));
      return least > 0 ? [0, far] : [far, 0];
    }
    // The pair that needs the most room decides; of pads that are wider than the axis nothing is left but the values.
    let low, high, scale = 0;
    for (const from of lows) {
      for (const to of highs) {
        const span = to.at - from.at, room = length - pixels(from) - pixels(to);
        const fits = room > length / 10, needs = span / (fits ? room : length);
        if (span <= 0 || needs <= scale) continue;
        const bare = end => (fits ? end : { at: end.at, beside: 0, free: false });
        [low, high, scale] = [bare(from), bare(to), needs];
      }
    }
    const zero = { at: 0, beside: 0, free: false };
    if (toZero && low.at >= 0) low = zero;
    if (toZero && high.at <= 0) high = zero;
    scale = (high.at - low.at) / (length - pixels(low) - pixels(high));
    return [low.at - scale * pixels(low), high.at + scale * pixels(high)];
  };

  // How far the ticks are apart: a number, of a logarithmic axis also L and one (of what it says), or D1, D2 (digits).
  const distance = (axis, letter, [low, high], length) => {
    if (axis.dtick) return axis.dtick;
    const number = (axis.nticks || Math.min(Math.max(length / LINES_OF_GRID_PX[letter], FEWEST), MOST) + 1) * (axis.tickvals ? 100 : 1);
    const rough = (high - low) / number, rounded = value => power(value) * roundUp(value / power(value), ROUND);
    if (axis.type !== "log") return rounded(rough) || 1;
    if (rough > 0.7) return Math.ceil(rough);
    if (high - low < 1) return `L${rounded(((10 ** high - 10 ** low) * rough) / 1.5 / (high - low))}`;
    return rough > 0.3 ? "D2" : "D1";
  };
  const digitAfter = (place, digits) => {
    const share = roundUp(modulo(place, 1), digits);
    return Math.floor(place) + Math.log10(Math.round(10 ** share * 10) / 10);
  };
  const places = (step, [low, high]) => {
    const hair = HAIR * (high - low), from = low - hair, to = high + hair, found = [];
    if (typeof step === "number") {
      for (let n = Math.ceil(from / step); n * step <= to; n++) found.push(n * step);
    } else if (step[0] === "L") {
      const size = Number(step.slice(1));
      for (let n = Math.ceil(10 ** from / size); Math.log10(n * size) <= to; n++) if (n > 0) found.push(Math.log10(n * size));
    } else {
      for (let at = digitAfter(from, DIGITS[step]); at <= to; at = digitAfter(at + 0.01, DIGITS[step])) found.push(at);
    }
    return found;
  };

  // Digits that are written, and which power of ten is taken out of all numbers of an axis.
  const rounding = (size, ends, format) => {
    const largest = Math.floor(Math.log10(Math.max(...ends.map(Math.abs))) + 0.01);
    const taken = Math.abs(largest) > PLAIN ? (format === "power" ? largest : inPrefixes(largest)) : 0;
    return { digits: 2 - Math.floor(Math.log10(size) + 0.01), taken };
  };
  const inPrefixes = exponent => (exponent > LARGEST || exponent < SMALLEST ? exponent : 3 * Math.round((exponent - 1) / 3));
  const said = (value, { digits, taken }, format) => {
    let number = Math.abs(value);
    if (number < 10 ** -digits / 2) return "0";
    number *= 10 ** -taken;
    const shown = digits + taken;
    const text = shown > 0 ? number.toFixed(Math.min(20, shown)).replace(/\.?0+$/, "") : String(Math.round(number / 10 ** -shown) * 10 ** -shown);
    const [whole, rest] = text.split(".");
    const separated = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, ",") : whole;
    return (value < 0 ? MINUS : "") + separated + (rest ? `.${rest}` : "") + after(taken, format);
  };
  const after = (taken, format) => {
    if (!taken) return "";
    const isPower = format === "power" || taken > LARGEST || taken < SMALLEST;
    return isPower ? `×10<sup>${taken < 0 ? MINUS : ""}${Math.abs(taken)}</sup>` : PREFIXES[taken / 3 + 5];
  };
  // What is written at a place of a logarithmic axis, how much larger than other words, and how far from its place.
  const saidOfLog = (at, step, letter, format, ends, size) => {
    const value = 10 ** at, isWhole = modulo(at + 0.01, 1) < 0.1, isLast = step === "D1";
    if (typeof step === "string" && step[0] === "L") return { text: said(value, rounding(Number(step.slice(1)), ends, format), format) };
    if (typeof step === "string" && !isWhole) return { text: String(Math.round(10 ** modulo(at, 1))), larger: SMALL_DIGIT };
    let text, larger = 1, dx = 0, dy = 0;
    if (format === "power") {
      const exponent = Math.round(at);
      text = exponent === 0 ? "1" : `10${exponent === 1 ? "" : `<sup>${exponent < 0 ? MINUS : ""}${Math.abs(exponent)}</sup>`}`;
      larger = LARGER_POWER;
    } else {
      const { digits, taken } = rounding(value, [0, value], format);
      text = said(value, { digits: digits + 4, taken }, format);
      if (isLast && letter === "y") dy = -size / 6;
    }
    // Nines are close to the tens.
    if (isLast && /^[01]/.test(text)) {
      const high = larger * size;
      if (letter === "y") dx -= high / 4;
      else [dx, dy] = [dx + high * (at < 0 ? 0.5 : 0.25), dy + high / 2];
    }
    return { text, larger, dx, dy };
  };
  // Ticks of an axis that ends there: where (as its ends are said), and what is written.
  const ticks = (axis, letter, ends, length) => {
    const step = distance(axis, letter, ends, length), isLog = axis.type === "log", format = axis.exponentformat;
    const hair = HAIR * (ends[1] - ends[0]), size = axis.tickfont.size;
    if (axis.tickvals) {
      return axis.tickvals.map((value, n) => ({ at: isLog ? Math.log10(value) : value, text: String(axis.ticktext[n]) }))
        .filter(({ at }) => at > ends[0] - hair && at < ends[1] + hair);
    }
    const spelled = isLog ? ends.map(end => 10 ** end) : ends;
    const how = isLog ? null : rounding(step, ends, format);
    return places(step, ends).map(at => ({ at, ...(isLog ? saidOfLog(at, step, letter, format, spelled, size) : { text: said(at, how, format) }) }));
  };
  return { range, ticks, edges };
})());

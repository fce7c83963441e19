// What the painter knows of figures. One that has anything else is plotly's, so that nothing is left out in silence.
window.painter = window.painter || {};
Object.assign(window.painter, (function () {
  const any = () => true, one = (...values) => value => values.includes(value);
  const font = { size: any, color: any, family: any };
  const axis = {
    title: { text: any, font: { size: any }, standoff: any }, type: one("log"), rangemode: one("tozero", "normal"), visible: any,
    autorangeoptions: { include: any, clipmax: any }, tickvals: any, ticktext: any, dtick: any, nticks: any, tickangle: one(0),
    tickfont: { size: any }, exponentformat: one("power"), showgrid: any, gridcolor: any, linecolor: any, tickcolor: any,
    zeroline: one(false), ticks: one("outside"), automargin: one(true), ticklabeloverflow: one("allow"),
    scaleanchor: one("x"), constrain: one("domain"),
  };
  const title = {
    text: any, font: { size: any }, x: one(0), y: one(1), xref: one("container"), yref: one("container"),
    xanchor: one("left"), yanchor: one("top"), pad: { l: one(12), t: any },
  };
  const layout = {
    font, title, meta: any, margin: { l: any, r: any, t: any, b: any }, xaxis: axis, yaxis: axis,
    paper_bgcolor: one("rgba(0,0,0,0)"), plot_bgcolor: one("rgba(0,0,0,0)"),
    // Of what is pointed at, which is plotly's.
    hovermode: any, modebar: any, showlegend: one(false),
  };
  const annotation = { text: any, showarrow: one(false), xref: one("paper"), yref: one("paper"), x: one(0.5), y: one(0.5), font };
  const end = one("x", "y", "paper");
  const shape = { type: one("rect"), line: { color: any, width: any }, x0: any, x1: any, y0: any, y1: any, xref: end, yref: end };
  const pointed = { type: any, customdata: any, hovertemplate: any, hoverinfo: any, text: any };
  const traces = {
    scatter: {
      ...pointed, x: any, y: any, opacity: any, mode: one("lines", "markers", "lines+markers", "none"),
      line: { shape: one("hv"), color: any, width: any, dash: one("solid", "dash", "dot") },
      fill: one("none", "tozeroy", "tonexty", "toself"), fillcolor: any, marker: { color: any, size: Number.isFinite },
      error_y: { type: one("data"), array: any, color: any, thickness: any, width: one(0) },
    },
    heatmap: {
      ...pointed, x: any, y: any, z: any, zmin: any, zmax: any, colorscale: any, opacity: one(0),
      colorbar: { thickness: any, outlinewidth: one(0), xpad: any, tickfont: { size: any }, tickvals: any, ticktext: any },
    },
  };
  // Where in a figure there is something else.
  const beside = (value, known, where) => {
    if (value === null || value === undefined) return [];
    if (typeof known === "function") return known(value) ? [] : [where];
    if (!known || typeof value !== "object") return [where];
    return Object.keys(value).flatMap(key => beside(value[key], known[key], `${where}.${key}`));
  };
  const unknown = ({ data, layout: { annotations, shapes, ...rest } }) => [
    ...data.flatMap((trace, n) => beside(trace, traces[trace.type], `data[${n}]`)),
    ...annotations.flatMap((each, n) => beside(each, annotation, `annotations[${n}]`)),
    ...shapes.flatMap((each, n) => beside(each, shape, `shapes[${n}]`)),
    ...beside(rest, layout, "layout"),
  ];
  return { unknown };
})());

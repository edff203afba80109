"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);
  const messages = [...document.querySelectorAll(".message")];

  // Links to a frame open it.
  const openTarget = () => {
    const target = location.hash.length > 1 && $(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", openTarget);
  openTarget();

  const filter = () => {
    const wanted = $("filter").value.trim().toLowerCase();
    const only = $("only").checked;
    for (const message of messages) {
      const text = wanted && message.textContent.toLowerCase();
      message.hidden = (only && !message.classList.contains("found")) || (wanted && !text.includes(wanted));
    }
  };
  $("filter").addEventListener("input", filter);
  $("only").addEventListener("change", filter);
  $("expand").addEventListener("click", () => messages.forEach((m) => { if (!m.hidden) m.open = true; }));
  $("collapse").addEventListener("click", () => messages.forEach((m) => { m.open = false; }));

  const figures = JSON.parse($("figures").textContent);
  const library = $("library");
  if (!figures.length || !library) return;

  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  const load = async () => {
    const script = document.createElement("script");
    script.textContent = await unpack(library.textContent.trim());
    document.head.append(script);
    library.remove();
    if (!window.Plotly) throw new Error("the chart library did not start");
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const themed = (value) => {
    if (Array.isArray(value)) return typeof value[0] === "object" ? value.map(themed) : value;
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item)]));
    }
    return typeof value === "string" && value.startsWith("--") ? colour(value) : value;
  };
  const layout = (figure) => {
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--limit") };
    const base = themed(figure.layout);
    return {
      ...base,
      font: { family: "system-ui, sans-serif", size: 12, color: colour("--ink") },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      autosize: true,
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--dim"), activecolor: colour("--accent") },
      hoverlabel: { bgcolor: colour("--card"), font: { color: colour("--ink") }, bordercolor: colour("--line") },
      xaxis: { ...axis, ...base.xaxis },
      yaxis: { ...axis, ...base.yaxis },
    };
  };
  const draw = () => Promise.all(figures.map((figure) =>
    Plotly.react($(figure.id), themed(figure.data), layout(figure), { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"],
        displayModeBar: matchMedia("(hover: hover) and (min-width: 700px)").matches })));

  // One zoom for all charts: they share the time axis.
  let following = false;
  const follow = (source) => async (change) => {
    if (following) return;
    const axis = change["xaxis.autorange"] ? null : [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (axis && axis[0] === undefined) return;
    following = true;
    const range = axis || source.layout.xaxis.range;
    await Promise.all(figures.filter((figure) => figure.id !== source.id).map((figure) =>
      Plotly.relayout($(figure.id), { "xaxis.range": axis || figure.layout.xaxis.range })));
    following = false;
    return range;
  };

  try {
    await load();
    await draw();
    const resized = new ResizeObserver((entries) => entries.forEach((entry) => Plotly.Plots.resize(entry.target)));
    for (const figure of figures) {
      $(figure.id).on("plotly_relayout", follow(figure));
      resized.observe($(figure.id));
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    document.documentElement.dataset.charts = "drawn";
  } catch (error) {
    $("chart-error").textContent = `The charts could not be drawn: ${error.message}`;
    $("chart-error").hidden = false;
  }
})();

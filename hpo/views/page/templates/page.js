"use strict";
async function load() {  // plotly travels compressed: a third of its size
  const bytes = Uint8Array.from(atob(document.getElementById("plotly").textContent), letter => letter.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.src = URL.createObjectURL(await new Response(plain).blob());
  document.head.append(script);
  await new Promise((done, failed) => { script.onload = done; script.onerror = failed; });
}

const dark = matchMedia("(prefers-color-scheme: dark)");

function themed(layout) {
  const css = getComputedStyle(document.documentElement);
  const ink = css.getPropertyValue("--ink").trim(), line = css.getPropertyValue("--line").trim();
  const paper = css.getPropertyValue("--paper").trim();
  const axes = {};
  for (const key of Object.keys(layout).concat(["xaxis", "yaxis"]))
    if (/^[xy]axis\d*$/.test(key)) axes[key] = {...layout[key], gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true};
  const annotations = (layout.annotations ?? []).map(one => ({...one, bgcolor: paper, borderpad: 1, font: {...one.font, color: ink}}));
  return {...layout, ...axes, annotations, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {color: ink, size: 13},
          margin: {l: 60, r: 20, t: 30, b: 50}, autosize: true, width: undefined, height: layout.height ?? 400,
          legend: {...layout.legend, orientation: "h", yanchor: "bottom", y: 1.02}};
}

// The same curves as errors, on a logarithmic axis: there the differences between good trials are seen.
function asErrors(figure) {
  const data = figure.data.map(trace => ({...trace, y: trace.y.map(value => value === null ? null : Math.max(1 - value, 1e-5)),
                                          hovertemplate: trace.hovertemplate?.replace("%{y:.4f}", "error %{y:.2~e}")}));
  const axis = {...figure.layout.yaxis, type: "log", title: {text: figure.layout.meta.error}, range: undefined, autorange: true};
  return {...figure, data, layout: {...figure.layout, yaxis: axis}};
}

function offerErrors(place, redraw) {
  const label = document.createElement("label"), box = document.createElement("input");
  label.className = "switch";
  box.type = "checkbox";
  box.addEventListener("change", redraw);
  label.append(box, " errors on a logarithmic axis");
  place.prepend(label);
}

function drawOne(place) {
  const figure = JSON.parse(place.querySelector("script").textContent);
  let canvas = place.querySelector(":scope > div");
  if (!canvas) {
    canvas = place.appendChild(document.createElement("div"));
    if (figure.layout.meta?.error) offerErrors(place, () => { drawOne(place); mark(marked); });
  }
  const shown = place.querySelector(".switch input")?.checked ? asErrors(figure) : figure;
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  const data = shown.data.map(trace => trace.type === "heatmap" ? {...trace, textfont: {color: ink}} : trace);
  Plotly.react(canvas, data, themed(shown.layout), {responsive: true, displaylogo: false});
}

function draw() {
  document.querySelectorAll(".plot").forEach(drawOne);
  mark(marked);
}
load().then(() => {
  draw();
  hint();
  dark.addEventListener("change", draw);
});

// Marks a trial: its row, its curve and its points.
let marked = null;
const rows = [...document.querySelectorAll("#all tbody tr")];
function mark(trial) {
  marked = trial;
  for (const row of rows) row.classList.toggle("marked", row.dataset.trial === trial);
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  for (const canvas of document.querySelectorAll(".plot > div")) {
    const old = canvas.data.findIndex(trace => trace.name === "marked");
    if (old >= 0) Plotly.deleteTraces(canvas, old);
    if (trial === null) continue;
    for (const trace of [...canvas.data]) {
      const at = Array.isArray(trace.customdata) ? trace.customdata.indexOf(trial) : -1;
      const common = {name: "marked", showlegend: false, hoverinfo: "skip"};
      if (trace.type !== "heatmap" && at >= 0)
        Plotly.addTraces(canvas, {...common, x: [trace.x[at]], y: [trace.y[at]], mode: "markers",
                                  marker: {size: 16, symbol: "circle-open", color: ink, line: {width: 3}}});
      else if (trace.meta === trial)
        Plotly.addTraces(canvas, {...common, x: trace.x, y: trace.y, mode: "lines+markers", line: {width: 4, color: ink}});
    }
  }
}

for (const button of document.querySelectorAll("button.copy"))
  button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {  // a file that a browser opens may not write there: the text is selected instead
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  });

function hint() {
  for (const place of document.querySelectorAll(".scroll, .plot"))
    place.classList.toggle("cut", place.scrollWidth > place.clientWidth + 1);
}
addEventListener("resize", hint);
hint();


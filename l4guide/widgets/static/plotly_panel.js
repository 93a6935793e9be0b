const SMALLEST_PX = 200;
const NOTICEABLE_PX = 4;

function plotly() {
  if (globalThis.l4guidePlotly) return Promise.resolve(globalThis.l4guidePlotly);
  return new Promise((resolve) => {
    globalThis.addEventListener("l4guide-plotly", () => resolve(globalThis.l4guidePlotly), { once: true });
  });
}

async function render({ model, el }) {
  const plot = document.createElement("div");
  plot.setAttribute("role", "img");
  plot.className = "l4g-plot-box";
  el.appendChild(plot);
  const Plotly = await plotly();
  let width = 0;

  const draw = () => {
    if (!model.get("figure")) return;
    const figure = JSON.parse(model.get("figure"));
    plot.setAttribute("aria-label", model.get("alt"));
    width = el.clientWidth;
    figure.layout.width = Math.max(SMALLEST_PX, width);
    Plotly.react(plot, figure.data, figure.layout, model.get("config"));
  };
  draw();
  model.on("change:figure change:alt", draw);
  const observer = new ResizeObserver(() => {
    if (Math.abs(el.clientWidth - width) > NOTICEABLE_PX) draw();
  });
  observer.observe(el);
  return () => {
    observer.disconnect();
    model.off("change:figure change:alt", draw);
    Plotly.purge(plot);
  };
}

export default { render };

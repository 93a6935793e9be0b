const PAGE = ".l4g-page";
const TOGGLE = ".widget-toggle-button";

async function load(compressed) {
  const stream = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = await new Response(stream).arrayBuffer();
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  await import(address);
  URL.revokeObjectURL(address);
  globalThis.l4guidePlotly = globalThis.Plotly;
  globalThis.dispatchEvent(new Event("l4guide-plotly"));
}

// JupyterLab's plain keys edit the notebook: x would cut the page's cell, d d delete it. Its others (save, find, run)
// are known by a modifier, and stay its own.
function keepPlainKeys(event) {
  const runs = event.key === "Enter" && event.shiftKey;
  if (!event.ctrlKey && !event.metaKey && !event.altKey && !runs) event.stopPropagation();
}

// ipywidgets tells by colour alone which toggle is chosen.
function tellChosen(page) {
  for (const button of page.querySelectorAll(TOGGLE)) {
    button.setAttribute("aria-pressed", String(button.classList.contains("mod-active")));
  }
}

function watch(page, signal) {
  // So that a click beside its controls leaves the focus on the page, and not on the notebook's cell.
  page.tabIndex = -1;
  page.addEventListener("keydown", keepPlainKeys, { signal });
  const observer = new MutationObserver(() => tellChosen(page));
  observer.observe(page, { subtree: true, childList: true, attributeFilter: ["class"] });
  signal.addEventListener("abort", () => observer.disconnect());
  tellChosen(page);
}

// A widget is drawn before it hangs in its page.
function watchOnceShown(el, signal) {
  const page = el.closest(PAGE);
  if (page) watch(page, signal);
  else if (!signal.aborted) requestAnimationFrame(() => watchOnceShown(el, signal));
}

function render({ model, el }) {
  const gone = new AbortController();
  watchOnceShown(el, gone.signal);
  const received = (message, buffers) => {
    if (message.kind === "library" && !globalThis.l4guidePlotly) load(buffers[0]);
  };
  model.on("msg:custom", received);
  if (!globalThis.l4guidePlotly) model.send({ kind: "wanted" });
  return () => {
    gone.abort();
    model.off("msg:custom", received);
  };
}

export default { render };

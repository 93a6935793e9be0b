async function load(compressed) {
  const stream = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = await new Response(stream).arrayBuffer();
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  await import(address);
  URL.revokeObjectURL(address);
  globalThis.l4guidePlotly = globalThis.Plotly;
  globalThis.dispatchEvent(new Event("l4guide-plotly"));
}

function render({ model }) {
  const received = (message, buffers) => {
    if (message.kind === "library" && !globalThis.l4guidePlotly) load(buffers[0]);
  };
  model.on("msg:custom", received);
  if (!globalThis.l4guidePlotly) model.send({ kind: "wanted" });
  return () => model.off("msg:custom", received);
}

export default { render };

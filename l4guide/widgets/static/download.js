const KEEP_MS = 30000;

async function save(message, buffers) {
  const stream = new Blob([buffers[0]]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: message.type }));
  link.download = message.name;
  document.body.appendChild(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), KEEP_MS);
}

function render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = `l4g-button ${model.get("kind")}`;
  const label = () => {
    button.textContent = model.get("description");
    button.disabled = model.get("disabled");
  };
  label();
  model.on("change:description change:disabled", label);
  button.addEventListener("click", () => model.send({ kind: "wanted" }));
  const received = (message, buffers) => {
    if (message.kind === "file") save(message, buffers);
  };
  model.on("msg:custom", received);
  el.appendChild(button);
  return () => {
    model.off("change:description change:disabled", label);
    model.off("msg:custom", received);
  };
}

export default { render };

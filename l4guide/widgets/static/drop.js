const MOST_BYTES = 20_000_000;

function render({ model, el }) {
  const zone = document.createElement("label");
  zone.className = "guide-drop";
  const text = document.createElement("span");
  const input = document.createElement("input");
  input.type = "file";
  zone.append(text, input);
  const speak = () => {
    text.textContent = model.get("description");
    input.setAttribute("aria-label", model.get("description"));
  };
  speak();
  model.on("change:description", speak);
  const take = async (file) => {
    if (!file) return;
    // An error stands at the end of a log, so of a larger file the end is read.
    const kept = file.slice(Math.max(0, file.size - MOST_BYTES));
    model.send({ kind: "file", name: file.name }, undefined, [await kept.arrayBuffer()]);
    input.value = "";
  };
  input.addEventListener("change", () => take(input.files[0]));
  const over = (event) => {
    event.preventDefault();
    zone.classList.add("guide-drop-over");
  };
  const leave = () => zone.classList.remove("guide-drop-over");
  const drop = (event) => {
    event.preventDefault();
    leave();
    take(event.dataTransfer.files[0]);
  };
  zone.addEventListener("dragover", over);
  zone.addEventListener("dragleave", leave);
  zone.addEventListener("drop", drop);
  el.appendChild(zone);
  return () => model.off("change:description", speak);
}

export default { render };

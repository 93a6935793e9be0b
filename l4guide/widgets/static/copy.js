const SHOWN_MS = 2000;

// Without https the clipboard interface is absent; selecting a text area still works there.
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "l4g-offscreen";
  document.body.appendChild(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function render({ model, el }) {
  const title = document.createElement("span");
  title.className = "l4g-snippet-title";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "l4g-button l4g-copy";
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  status.className = "l4g-copied";
  const bar = document.createElement("div");
  bar.className = "l4g-snippet-bar";
  bar.append(title, status, button);
  const code = document.createElement("pre");
  code.tabIndex = 0;
  el.append(bar, code);

  const draw = () => {
    title.textContent = model.get("title");
    button.textContent = model.get("label");
    button.setAttribute("aria-label", `${model.get("label")}: ${model.get("title")}`);
    code.textContent = model.get("code");
    code.setAttribute("aria-label", model.get("title"));
    el.hidden = model.get("code") === "";
  };
  draw();
  model.on("change", draw);
  let timer = 0;
  button.addEventListener("click", async () => {
    status.textContent = model.get((await copy(model.get("code"))) ? "copied" : "not_copied");
    clearTimeout(timer);
    timer = setTimeout(() => { status.textContent = ""; }, SHOWN_MS);
  });
  return () => {
    clearTimeout(timer);
    model.off("change", draw);
  };
}

export default { render };

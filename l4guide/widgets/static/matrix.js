const GAP_PX = 6;
let made = 0;

// Beside its cell, inside the frame: to the right end at most, and above where there is no room below.
function place(tip, cell, frame) {
  const at = cell.getBoundingClientRect();
  const within = frame.getBoundingClientRect();
  const left = Math.min(at.left - within.left, within.width - tip.offsetWidth);
  const below = at.bottom + GAP_PX + tip.offsetHeight < globalThis.innerHeight;
  const top = below ? at.bottom + GAP_PX : at.top - GAP_PX - tip.offsetHeight;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${top - within.top}px`;
}

function render({ model, el }) {
  const box = document.createElement("div");
  const shown = document.createElement("div");
  shown.className = "l4g-float";
  shown.hidden = true;
  el.classList.add("l4g-matrix-frame");
  el.append(box, shown);

  const hide = () => { shown.hidden = true; };
  const show = (event) => {
    const cell = event.target.closest?.(".l4g-cell");
    if (!cell) return;
    shown.innerHTML = cell.nextElementSibling.innerHTML;
    shown.hidden = false;
    place(shown, cell, el);
  };
  const draw = () => {
    hide();
    box.innerHTML = model.get("markup");
    for (const tip of box.querySelectorAll(".l4g-tip")) {
      made += 1;
      tip.id = `l4g-tip-${made}`;
      tip.previousElementSibling.setAttribute("aria-describedby", tip.id);
    }
  };
  draw();
  model.on("change:markup", draw);
  box.addEventListener("mouseover", show);
  box.addEventListener("focusin", show);
  box.addEventListener("mouseout", hide);
  box.addEventListener("focusout", hide);
  const escape = (event) => { if (event.key === "Escape") hide(); };
  el.addEventListener("keydown", escape);
  return () => {
    model.off("change:markup", draw);
    el.removeEventListener("keydown", escape);
  };
}

export default { render };

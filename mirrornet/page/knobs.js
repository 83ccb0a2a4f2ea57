// Widgets of a plant's controls: a slider, a menu, a switch or a table each, in physical units.

const within = (value, low, high) => Math.min(Math.max(value, low), high);

// The place of a value in its control's range, 0..1.
export function placeOf(control, value) {
  if (control.kind === "choice") return control.choices.indexOf(value) / (control.choices.length - 1);
  if (control.kind === "switch") return value ? 1 : 0;
  const { low, high } = control;
  if (control.curve === "exponential") return Math.log(value / low) / Math.log(high / low);
  return (value - low) / (high - low);
}

export function valueAt(control, place) {
  const at = within(place, 0, 1);
  if (control.kind === "choice") return control.choices[Math.round(at * (control.choices.length - 1))];
  if (control.kind === "switch") return at >= 0.5;
  const { low, high } = control;
  const value = control.curve === "exponential" ? low * (high / low) ** at : low + (high - low) * at;
  return control.kind === "integer" ? Math.round(value) : value;
}

// A value between two of a control: halfway in its curve; a choice changes in the middle.
export function between(control, from, to, share) {
  if (control.shape?.length) {
    return from.map((value, n) => between({ ...control, shape: control.shape.slice(1) }, value, to[n], share));
  }
  const [a, b] = [placeOf(control, from), placeOf(control, to)];
  return valueAt(control, a + (b - a) * share);
}

export function inWords(control, value) {
  if (control.kind === "switch") return value ? "on" : "off";
  if (control.kind === "choice") return value;
  const digits = value ? 2 - Math.floor(Math.log10(Math.abs(value))) : 0;
  const number = value.toFixed(within(digits, 0, control.kind === "integer" ? 0 : 4));
  return `${number.replace("-", "−")} ${control.unit || ""}`.trim();
}

const labelOf = (control) => control.name.replaceAll("_", " ");

// A row for a control. `changed(value, final)` is called while it moves, and at the end; `lock` is
// a set of names, or null where nothing can be locked.
export function row(control, value, changed, lock = null) {
  const element = document.createElement("div");
  element.className = "control";
  const label = document.createElement("label");
  label.textContent = labelOf(control);
  if (control.meaning) label.title = control.meaning;
  const id = `control-${control.scope || "note"}-${control.name}`;
  label.htmlFor = id;
  const { field, show } = fieldOf(control, id, changed);
  element.append(label, field);
  if (lock) element.append(lockOf(control, lock));
  show(value);
  return { element, show };
}

function lockOf(control, lock) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "lock";
  const draw = () => {
    const on = lock.has(control.name);
    button.setAttribute("aria-pressed", on);
    button.textContent = on ? "locked" : "lock";
  };
  button.setAttribute("aria-label", `Lock ${labelOf(control)} in refinement`);
  button.addEventListener("click", () => {
    if (!lock.delete(control.name)) lock.add(control.name);
    draw();
  });
  draw();
  return button;
}

function fieldOf(control, id, changed) {
  if (control.shape?.length) return table(control, id, changed);
  if (control.kind === "choice") return menu(control, id, changed);
  if (control.kind === "switch") return toggle(id, changed);
  return slider(control, id, changed);
}

function menu(control, id, changed) {
  const field = document.createElement("select");
  field.id = id;
  for (const choice of control.choices) field.add(new Option(choice, choice));
  field.addEventListener("change", () => changed(field.value, true));
  return { field, show: (value) => (field.value = value) };
}

function toggle(id, changed) {
  const field = document.createElement("input");
  field.id = id;
  field.type = "checkbox";
  field.addEventListener("change", () => changed(field.checked, true));
  return { field, show: (value) => (field.checked = value) };
}

function slider(control, id, changed) {
  const field = document.createElement("span");
  field.className = "slider";
  const input = document.createElement("input");
  const output = document.createElement("output");
  input.id = id;
  input.type = "range";
  input.min = 0;
  input.max = 1;
  input.step = "any";
  if (control.kind === "integer") input.step = 1 / Math.max(control.high - control.low, 1);
  output.htmlFor = id;
  const say = (value) => {
    const words = inWords(control, value);
    output.textContent = words;
    input.setAttribute("aria-valuetext", words);
    input.style.setProperty("--at", `${100 * input.value}%`);
  };
  const moved = (final) => () => {
    const value = valueAt(control, Number(input.value));
    say(value);
    changed(value, final);
  };
  input.addEventListener("input", moved(false));
  input.addEventListener("change", moved(true));
  // "any" steps leave the keyboard without a useful one.
  input.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!way || control.kind === "integer") return;
    event.preventDefault();
    input.value = within(Number(input.value) + way * (event.shiftKey ? 0.1 : 0.01), 0, 1);
    moved(true)();
  });
  field.append(input, output);
  const show = (value) => {
    input.value = within(placeOf(control, value), 0, 1);
    say(value);
  };
  return { field, show };
}

// Tables, such as amplitudes of harmonics over time: a grid of cells that can be painted.
function table(control, id, changed) {
  const field = document.createElement("div");
  field.className = "table";
  const [across, down] = [control.shape.at(-1), control.shape.length > 1 ? control.shape.at(-2) : 1];
  const pages = control.shape.length > 2 ? control.shape[0] : 1;
  let whole = null;
  const grids = [];
  const output = document.createElement("output");
  const paged = (page) => (pages > 1 ? whole[page] : whole);
  const rowsOf = (page) => (control.shape.length > 1 ? paged(page) : [whole]);
  const say = (page, at, over) => {
    const value = rowsOf(page)[over][at];
    output.textContent = inWords({ ...control, shape: [] }, value);
  };
  for (let page = 0; page < pages; page++) {
    const canvas = document.createElement("canvas");
    canvas.width = across;
    canvas.height = down;
    canvas.tabIndex = 0;
    if (!page) canvas.id = id;
    canvas.setAttribute("role", "application");
    const part = pages > 1 ? `, part ${page + 1}` : "";
    canvas.setAttribute(
      "aria-label",
      `${labelOf(control)}${part}: a table. Arrows choose a cell, plus and minus change it.`,
    );
    const cursor = { at: 0, over: 0 };
    const draw = () => {
      const context = canvas.getContext("2d");
      const rows = rowsOf(page);
      rows.forEach((values, over) =>
        values.forEach((value, at) => {
          const place = within(placeOf({ ...control, shape: [] }, value), 0, 1);
          context.fillStyle = `hsl(201 80% ${8 + 70 * place}%)`;
          context.fillRect(at, over, 1, 1);
        }),
      );
    };
    const change = (at, over, by, final) => {
      const scalar = { ...control, shape: [] };
      const rows = rowsOf(page);
      rows[over][at] = valueAt(scalar, placeOf(scalar, rows[over][at]) + by);
      draw();
      say(page, at, over);
      changed(structuredClone(whole), final);
    };
    const cell = (event) => {
      const box = canvas.getBoundingClientRect();
      return [
        within(Math.floor(((event.clientX - box.left) / box.width) * across), 0, across - 1),
        within(Math.floor(((event.clientY - box.top) / box.height) * down), 0, down - 1),
      ];
    };
    const paint = (event) => {
      const [at, over] = cell(event);
      change(at, over, event.shiftKey || event.buttons === 2 ? -0.04 : 0.04, false);
    };
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      paint(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) paint(event);
      else if (whole) say(page, ...cell(event));
    });
    canvas.addEventListener("pointerup", () => changed(structuredClone(whole), true));
    canvas.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
      if (moves[event.key]) {
        cursor.at = within(cursor.at + moves[event.key][0], 0, across - 1);
        cursor.over = within(cursor.over + moves[event.key][1], 0, down - 1);
        say(page, cursor.at, cursor.over);
      } else if (event.key === "+" || event.key === "-") {
        change(cursor.at, cursor.over, event.key === "+" ? 0.02 : -0.02, true);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
    grids.push(draw);
    field.append(canvas);
  }
  field.append(output);
  return {
    field,
    show: (value) => {
      whole = structuredClone(value);
      grids.forEach((draw) => draw());
    },
  };
}

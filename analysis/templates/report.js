// The page is whole without this script; with it tables sort, pictures answer, and parts can be hidden.
const store = {
  key: `lacuna:${document.title}`,
  read() { try { return JSON.parse(sessionStorage.getItem(this.key)) ?? {}; } catch { return {}; } },
  write(value) { try { sessionStorage.setItem(this.key, JSON.stringify(value)); } catch { /* a private window */ } },
};

// What was opened or closed stays so when the page is loaded anew.
for (const part of document.querySelectorAll("main details")) {
  const name = `${part.closest("section")?.id} ${part.querySelector("summary").textContent.trim()}`;
  const before = store.read().parts?.[name];
  if (before !== undefined) part.open = before;
  part.addEventListener("toggle", () => {
    const all = store.read();
    store.write({ ...all, parts: { ...all.parts, [name]: part.open } });
  });
}

// Tables: a heading sorts by its column, once more turns the order round. What is missing stays last.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const turned = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", turned === 1 ? "ascending" : "descending");
      const numeric = heading.classList.contains("number");
      const key = (row) => {
        const cell = row.cells[index];
        return numeric ? parseFloat(cell.dataset.sort) : cell.textContent.trim();
      };
      const compare = (left, right) => {
        const [a, b] = [key(left), key(right)];
        if (!numeric) return turned * a.localeCompare(b, undefined, { numeric: true });
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
        return turned * (a - b);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}

// Pictures: the mark nearest to the pointer, or reached by arrow keys, says what it stands for.
const REACH = 14; // pixels
const tip = Object.assign(document.createElement("div"), { id: "tip", hidden: true });
tip.setAttribute("role", "status");
document.body.append(tip);
let lit = null;
let pinned = false;

function commands(mark) {
  if (mark.dataset.run) return [mark.dataset.run];
  const template = document.body.dataset.trial;
  return (mark.dataset.trials ?? "").split(" ").filter(Boolean).map((key) => template.replace("TRIAL_KEY", key));
}

function hide() {
  lit?.classList.remove("lit");
  lit = null;
  pinned = false;
  tip.hidden = true;
}

function show(mark, keep) {
  if (mark === lit && keep === pinned) return;
  hide();
  lit = mark;
  pinned = keep;
  mark.classList.add("lit");
  const lines = mark.dataset.tip.split("\n").map((line) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph;
  });
  tip.replaceChildren(...lines);
  const told = commands(mark);
  if (told.length) {
    const code = document.createElement("code");
    code.textContent = told.join("\n");
    const block = document.createElement("pre");
    block.append(code);
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Copy the command" });
    button.addEventListener("click", async () => {
      getSelection().selectAllChildren(code);
      try { await navigator.clipboard.writeText(code.textContent); button.textContent = "Copied"; }
      catch { button.textContent = "Selected: press Ctrl+C"; }
    });
    const hint = Object.assign(document.createElement("p"), { className: "quiet", textContent: "Click or Enter keeps this open." });
    tip.append(block, keep ? button : hint);
  }
  tip.hidden = false;
  const place = mark.getBoundingClientRect();
  const left = Math.min(place.right + 10, innerWidth - tip.offsetWidth - 8);
  const below = place.bottom + 10;
  const fits = below + tip.offsetHeight < innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, fits ? below : place.top - tip.offsetHeight - 10)}px`;
}

for (const picture of document.querySelectorAll("svg:has([data-tip])")) {
  const marks = [...picture.querySelectorAll("[data-tip]")];
  const boxes = new Map();
  const box = (mark) => boxes.get(mark) ?? boxes.set(mark, mark.getBBox()).get(mark);
  const nearest = (event) => {
    const matrix = picture.getScreenCTM();
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    let best = null;
    let least = REACH / matrix.a;
    for (const mark of marks) {
      if (mark.classList.contains("off")) continue;
      const { x, y, width, height } = box(mark);
      const across = Math.max(x - point.x, 0, point.x - x - width);
      const down = Math.max(y - point.y, 0, point.y - y - height);
      const inside = across || down ? 0 : -1 / (1 + width + height); // of two under the pointer the smaller
      const distance = Math.hypot(across, down) + inside;
      if (distance < least) [best, least] = [mark, distance];
    }
    return best;
  };
  picture.tabIndex = 0;
  picture.setAttribute("role", "application");
  picture.setAttribute("aria-roledescription", "interactive picture");
  picture.querySelector("desc").textContent += " Arrow keys go from mark to mark, Enter keeps one open, Escape closes it.";
  picture.addEventListener("pointermove", (event) => {
    if (pinned) return;
    const mark = nearest(event);
    if (mark) show(mark, false); else hide();
  });
  picture.addEventListener("pointerleave", () => { if (!pinned) hide(); });
  picture.addEventListener("click", (event) => {
    const mark = nearest(event);
    if (mark) show(mark, true); else hide();
  });
  picture.addEventListener("blur", () => { if (!pinned) hide(); });
  picture.addEventListener("keydown", (event) => {
    const seen = marks.filter((mark) => !mark.classList.contains("off"));
    const at = seen.indexOf(lit);
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    if (event.key in steps || event.key === "Home" || event.key === "End") {
      event.preventDefault();
      const to = { Home: 0, End: seen.length - 1 }[event.key] ?? (at < 0 ? 0 : at + steps[event.key]);
      const mark = seen[Math.min(Math.max(to, 0), seen.length - 1)];
      if (!mark) return;
      const { top, bottom } = mark.getBoundingClientRect();
      if (top < 60 || bottom > innerHeight - 60) mark.scrollIntoView({ block: "center", behavior: "instant" });
      show(mark, false);
    } else if (event.key === "Enter" && lit) {
      event.preventDefault();
      show(lit, true);
      tip.querySelector("button")?.focus();
      tip.owner = picture;
    }
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || tip.hidden) return;
  hide();
  tip.owner?.focus();
  tip.owner = null;
});
addEventListener("scroll", () => { if (!pinned && !document.activeElement?.matches("svg")) hide(); }, { passive: true });
document.addEventListener("click", (event) => { if (!event.target.closest("svg, #tip")) hide(); });

// The filter: hides rows and columns of tables, and fades marks. No number is computed anew.
const filter = document.getElementById("filter");
if (filter) {
  const choices = [...filter.querySelectorAll("input")];
  const apply = () => {
    const out = { method: new Set(), dataset: new Set() };
    for (const choice of choices) if (!choice.checked) out[choice.name].add(choice.value);
    for (const element of document.querySelectorAll("main [data-method], main [data-dataset]")) {
      if (element.tagName === "TH") continue;
      const { method, dataset } = element.dataset;
      element.classList.toggle("off", out.method.has(method) || out.dataset.has(dataset));
    }
    for (const heading of document.querySelectorAll("main th[data-dataset]")) {
      const off = out.dataset.has(heading.dataset.dataset);
      if (off === heading.classList.contains("off")) continue;
      const index = heading.cellIndex;
      for (const row of heading.closest("table").rows) row.cells[index].classList.toggle("off", off);
    }
    for (const told of filter.querySelectorAll("output")) {
      const group = choices.filter((choice) => choice.name === told.dataset.of);
      const shown = group.filter((choice) => choice.checked).length;
      told.textContent = shown === group.length ? `all ${shown}` : `${shown} of ${group.length}`;
    }
    hide();
    store.write({ ...store.read(), method: [...out.method], dataset: [...out.dataset] });
  };
  const before = store.read();
  for (const choice of choices) choice.checked = !(before[choice.name] ?? []).includes(choice.value);
  filter.addEventListener("change", apply);
  filter.addEventListener("click", (event) => {
    const { all, of } = event.target.dataset;
    if (all === undefined) return;
    for (const choice of choices) if (choice.name === of) choice.checked = all === "yes";
    apply();
  });
  filter.addEventListener("keydown", (event) => {
    const group = event.target.closest("details[open]");
    if (event.key === "Escape" && group) { group.open = false; group.querySelector("summary").focus(); }
  });
  document.addEventListener("click", (event) => {
    for (const group of filter.querySelectorAll("details[open]")) if (!group.contains(event.target)) group.open = false;
  });
  filter.hidden = false;
  apply();
}

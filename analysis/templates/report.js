// Click a heading to sort by it, again to turn the order round; without this script the tables stand as written.
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
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // missing stays last
        return turned * (a - b);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}

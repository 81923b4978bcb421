/* The grid of time by keyboard: one stop of Tab for all squares, the arrow keys among them. Without
   this script the table beside it leads to the same runs. */
"use strict";

for (const grid of document.querySelectorAll("[data-time-grid]")) {
  const lines = [...grid.querySelectorAll(".time-line")]
    .map((line) => [...line.querySelectorAll("a.cell")])
    .filter((cells) => cells.length);
  if (!lines.length) continue;
  let entry = lines[0][0];
  entry.setAttribute("tabindex", "0");

  const middle = (cell) => {
    const { left, right } = cell.getBoundingClientRect();
    return (left + right) / 2;
  };
  const nearest = (cells, x) =>
    cells.reduce((best, one) =>
      Math.abs(middle(one) - x) < Math.abs(middle(best) - x) ? one : best,
    );

  function next(cell, key) {
    const row = lines.findIndex((cells) => cells.includes(cell));
    const cells = lines[row];
    const at = cells.indexOf(cell);
    switch (key) {
      case "ArrowLeft": return cells[at - 1];
      case "ArrowRight": return cells[at + 1];
      case "Home": return cells[0];
      case "End": return cells.at(-1);
      case "ArrowUp": return lines[row - 1] && nearest(lines[row - 1], middle(cell));
      case "ArrowDown": return lines[row + 1] && nearest(lines[row + 1], middle(cell));
    }
  }

  grid.addEventListener("keydown", (event) => {
    const cell = event.target.closest("a.cell");
    const wanted = cell && next(cell, event.key);
    if (!wanted) return;
    event.preventDefault();
    entry.setAttribute("tabindex", "-1");
    entry = wanted;
    entry.setAttribute("tabindex", "0");
    entry.focus();
  });
}

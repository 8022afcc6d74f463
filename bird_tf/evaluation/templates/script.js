for (const button of document.querySelectorAll("th button")) button.onclick = () => {
  const head = button.closest("th"), column = head.cellIndex, body = head.closest("table").tBodies[0];
  const number = head.className === "number";
  const rising = head.ariaSort ? head.ariaSort !== "ascending" : !number;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const value = row => {
    const text = row.cells[column].textContent;
    return number ? (isNaN(parseFloat(text)) ? -1 : parseFloat(text)) : text;
  };
  const order = (a, b) => number ? value(a) - value(b) : value(a).localeCompare(value(b));
  body.append(...[...body.rows].sort((a, b) => rising ? order(a, b) : order(b, a)));
};

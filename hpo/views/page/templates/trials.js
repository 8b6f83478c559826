const table = document.getElementById("all"), body = table.tBodies[0];
const value = (row, at) => { const cell = row.cells[at]; return cell.dataset.value ?? cell.textContent; };

function compare(a, b) {
  const x = Number(a), y = Number(b), numbers = a !== "" && b !== "" && !isNaN(x) && !isNaN(y);
  if ((a === "") !== (b === "")) return a === "" ? Infinity : -Infinity;  // what is missing stays last
  return numbers ? x - y : a.localeCompare(b);
}

table.tHead.querySelectorAll("th").forEach((head, at) => head.addEventListener("click", () => {
  const down = head.getAttribute("aria-sort") === "ascending";
  table.tHead.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  rows.sort((one, other) => {
    const order = compare(value(one, at), value(other, at));
    return Number.isFinite(order) && down ? -order : Math.sign(order);
  });
  body.append(...rows);
}));

for (const row of rows) {
  row.addEventListener("click", () => mark(row.dataset.trial === marked ? null : row.dataset.trial));
  row.addEventListener("keydown", event => { if (event.key === "Enter") row.click(); });
}

const filter = document.getElementById("filter"), count = document.getElementById("count");
const heads = [...table.tHead.querySelectorAll("th")].map(head => head.textContent.trim().toLowerCase().replace(/[ _]+/g, "_"));

// "lr<0.01" or "activation=relu": compares a column. Anything else is a word that the row must contain.
function condition(word) {
  const parts = word.match(/^(.+?)(<=|>=|!=|<|>|=)(.+)$/), at = parts ? heads.indexOf(parts[1].replace(/[ _]+/g, "_")) : -1;
  if (at < 0) return row => row.textContent.toLowerCase().includes(word);
  const [, , sign, wanted] = parts;
  return row => {
    const found = value(row, at).toLowerCase(), x = Number(found), y = Number(wanted);
    const order = found !== "" && !isNaN(x) && !isNaN(y) ? x - y : sign.includes("<") || sign.includes(">") ? NaN : found.localeCompare(wanted);
    return {"<": order < 0, ">": order > 0, "<=": order <= 0, ">=": order >= 0, "=": order === 0, "!=": order !== 0}[sign];
  };
}

function filtered() {
  const conditions = filter.value.toLowerCase().split(/\s+/).filter(Boolean).map(condition);
  let shown = 0;
  for (const row of rows) {
    row.hidden = !conditions.every(holds => holds(row));
    shown += !row.hidden;
  }
  count.textContent = `${shown} of ${rows.length}`;
}
filter.addEventListener("input", filtered);
filtered();

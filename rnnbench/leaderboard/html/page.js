// Tracks: one is shown at a time; what it draws is set up when it is first shown.
function makeTrack(content, index) {
  const track = { data: content, index, root: $(content.key), part: (name) => $(`${content.key}-${name}`), apply: () => {} };
  return track;
}
function setUp(track) {
  if (!track.part("table")) return;
  const appliers = [rankTables(track), scoreTable(track), costSection(track), pairSection(track)];
  const lines = [
    lineSection(track, "lengths", "length", (run) => run.lengths ?? [], (column) => `test ${column.metric}`),
    lineSection(track, "curves", "step",
      (run) => (run.curve ?? []).map(([step, loss, score]) => [step, address.get("curve-of") ? loss : score]),
      (column) => (address.get("curve-of") ? "training loss" : `validation ${column.metric}`)),
  ];
  const drawLines = () => lines.forEach((line) => line());
  appliers.push(pickers(track, drawLines), drawLines);
  const controls = [...track.root.querySelectorAll("input[data-state], select[data-state]")];
  track.apply = () => {
    for (const control of controls) {
      const wanted = address.get(control.dataset.state);
      if (control.tagName === "INPUT") control.value = wanted;
      else control.selectedIndex = Math.max(0, [...control.options].findIndex((option) => option.value === wanted));
    }
    for (const apply of appliers) apply();
  };
  track.root.addEventListener("input", (event) => {
    const control = event.target.closest("[data-state]");
    if (!control) return;
    address.set(control.dataset.state, control.value);
    track.apply();
  });
  diagrams(track);
  meanCharts(track);
}

const tracks = data().tracks.map(makeTrack);
let current;
function show() {
  const wanted = tracks.find((track) => track.data.name === address.get("track")) ?? tracks[0];
  if (wanted !== current) {
    for (const track of tracks) track.root.hidden = track !== wanted;
    for (const select of document.querySelectorAll("[data-track]")) select.value = wanted.data.key;
    current = wanted;
    if (!wanted.ready) setUp(wanted);
    wanted.ready = true;
    for (const link of document.querySelectorAll("nav [data-section]")) link.hidden = !placeOf(link.dataset.section);
  }
  current.apply();
}
document.addEventListener("change", (event) => {
  if (!event.target.matches?.("[data-track]")) return;
  const track = tracks.find((one) => one.data.key === event.target.value);
  address.only("track", track === tracks[0] ? "" : track.data.name);
  show();
});

// Links within the page leave the view in the address as it is.
const placeOf = (name) => current.part(name) ?? $(name);
function goTo(name) {
  const place = placeOf(name);
  if (!place) return;
  place.scrollIntoView();
  place.setAttribute("tabindex", "-1");
  place.focus({ preventScroll: true });
}
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-section]");
  if (link) {
    event.preventDefault();
    address.set("section", link.dataset.section === "main" ? "" : link.dataset.section);
    if (phone.matches) document.querySelector("header .menu").open = false;
    goTo(link.dataset.section);
  }
  const field = event.target.closest?.("button.field");
  if (field) openField(current, field.dataset.key);
});
$("run").addEventListener("close", () => address.set("cell", ""));
$("copy-link").addEventListener("click", (event) => copy(event.target, location.href));
$("copy-link").hidden = !navigator.clipboard;

$("theme").addEventListener("click", () => setTheme(themes[(theme = (theme + 1) % themes.length)]));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(themes[theme]));

// On a phone what is folded away leaves room for the scores.
if (phone.matches) for (const details of document.querySelectorAll("details.fold, header .menu")) details.open = false;

// Print: everything that is folded is unfolded, and a wide table is laid out in parts that fit a page.
function inParts(whole, columns) {
  const heads = [...whole.tHead.rows[whole.tHead.rows.length - 1].cells];
  const fixed = Number(whole.dataset.fixed ?? 1);
  const parts = make("div", null, { class: "parts" });
  for (let start = fixed; start < heads.length; start += columns) {
    const part = whole.cloneNode(true);
    part.removeAttribute("id");
    part.removeAttribute("style");
    part.querySelector("colgroup")?.remove();
    if (whole.dataset.fixed) part.tHead.rows[0].remove(); // the groups
    for (const line of part.rows) {
      [...line.cells].forEach((cell, index) => {
        if (index >= fixed && (index < start || index >= start + columns)) cell.remove();
      });
    }
    parts.append(part);
  }
  whole.closest(".scroll").after(parts);
}
const removeParts = () => document.querySelectorAll(".parts").forEach((parts) => parts.remove());
addEventListener("beforeprint", () => {
  removeParts();
  for (const table of current.root.querySelectorAll("table.scores")) inParts(table, 10);
  for (const table of current.root.querySelectorAll(".scroll > .pairs")) inParts(table, 20);
  for (const details of document.querySelectorAll("details:not([open])")) {
    details.open = true;
    details.dataset.folded = "";
  }
});
addEventListener("afterprint", () => {
  removeParts();
  for (const details of document.querySelectorAll("details[data-folded]")) {
    details.open = false;
    delete details.dataset.folded;
  }
});

const view = () => {
  show();
  if (address.get("section")) goTo(address.get("section"));
  openNamed(current);
};
addEventListener("view", view);
setTheme("system");
view();

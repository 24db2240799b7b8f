// What all tables have in common: no furniture but the headings.
const bare = {
  paging: false, info: false, autoWidth: false, order: [],
  layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
};

// A table that is sorted by a click on a heading, best first; the address says by which, `-` is worst first.
function sortable(element) {
  const heads = [...element.tHead.rows[element.tHead.rows.length - 1].cells];
  const orders = heads.map((head) => (head.dataset.better === "high" ? ["desc", "asc"] : ["asc", "desc"]));
  const table = new window.DataTable(element, {
    ...bare, titleRow: element.tHead.rows.length - 1, columns: orders.map((orderSequence) => ({ orderSequence })),
  });
  const state = element.dataset.state;
  let last = "";
  const apply = () => {
    const wanted = state ? address.get(state) : "";
    if (wanted === last) return;
    last = wanted;
    const index = heads.findIndex((head) => head.dataset.key === wanted.replace(/^-/, ""));
    table.order(index < 0 ? [] : [[index, orders[index][wanted.startsWith("-") ? 1 : 0]]]).draw();
  };
  table.on("order", () => {
    const [by] = table.order();
    if (!state || !by) return;
    last = `${orders[by[0]].indexOf(by[1]) === 1 ? "-" : ""}${heads[by[0]].dataset.key}`;
    address.set(state, last);
  });
  return { table, heads, apply };
}

// Scores: rows and columns by the filters, a folded group as the mean over it.
function scoreTable(track) {
  const { table, heads, apply } = sortable(track.part("table"));
  const groups = [...track.part("table").querySelectorAll(".folder")].map((button) => button.dataset.folds);
  const folded = () => {
    const named = address.get("folded");
    return new Set(named ? named.split(",") : phone.matches && !address.get("group") ? groups : []);
  };
  const passes = (own, names) => names.every((name) => !address.get(name) || address.get(name) === own[name]);
  table.search.fixed("choices", (_text, _row, index) => passes(table.row(index).node().dataset, ["family", "size", "tuning", "settings"]));
  const refresh = () => {
    const hidden = folded();
    const shown = heads.filter((head) => head.dataset.group && passes(head.dataset, ["group", "kind"]));
    const whole = new Set(shown.map((head) => head.dataset.group));
    heads.forEach((head, index) => {
      const { group, folded: stands } = head.dataset;
      if (group) table.column(index).visible(shown.includes(head) && !hidden.has(group), false);
      if (stands) table.column(index).visible(whole.has(stands) && hidden.has(stands), false);
    });
    for (const button of track.root.querySelectorAll(".folder")) button.setAttribute("aria-expanded", !hidden.has(button.dataset.folds));
    table.column(0).search(address.get("search"), { exact: false, smart: true });
    table.draw();
    const head = track.part("table").tHead.rows[0];
    track.part("table").style.setProperty("--groups", `${head.getBoundingClientRect().height}px`);
    const rows = table.rows();
    track.part("shown").textContent = `${table.rows({ search: "applied" }).count()} of ${rows.count()} architectures, ${shown.length} of ${heads.filter((head) => head.dataset.group).length} columns`;
  };
  track.root.addEventListener("click", (event) => {
    const button = event.target.closest?.(".folder");
    if (!button) return;
    const now = folded();
    if (!now.delete(button.dataset.folds)) now.add(button.dataset.folds);
    address.set("folded", now.size ? [...now].join(",") : "none");
    refresh();
  });
  const form = track.part("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    for (const control of form.querySelectorAll("[data-state]")) address.set(control.dataset.state, "");
    address.set("folded", "");
    setTimeout(track.apply);
  });
  addTools(track.part("table").closest(".figure"), track.data.name, { rows: () => track.data.scores });
  return () => {
    refresh();
    apply();
  };
}

// Ranked tables: over all tasks at once, over a group when it comes near.
function rankTables(track) {
  for (const figure of track.root.querySelectorAll("[data-ranking]")) {
    addTools(figure, track.data.name, { rows: () => track.data.rankings[figure.dataset.ranking] });
  }
  const [first, ...others] = track.root.querySelectorAll("table.rank");
  for (const element of others) whenSeen(element, () => sortable(element));
  return first ? sortable(first).apply : () => {};
}

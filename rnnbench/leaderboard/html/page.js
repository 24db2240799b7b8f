// Glue: DataTables sorts and filters, Vega draws, this hands them what the page carries. No text becomes markup here.
const $ = (id) => document.getElementById(id);
const data = (() => {
  let parsed;
  return () => (parsed ??= JSON.parse($("data").textContent));
})();

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Theme: the system's, until the reader says otherwise.
const themes = ["system", "light", "dark"];
function dark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
function setTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  document.documentElement.classList.toggle("dark", dark());
  $("theme").textContent = `Theme: ${name}`;
  redraw();
}
let theme = 0;
$("theme").addEventListener("click", () => setTheme(themes[(theme = (theme + 1) % themes.length)]));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(themes[theme]));

// Charts: drawn when asked for, drawn again in the colours of another theme.
const drawn = new Map();
function draw(place, name, rows, change = (spec) => spec) {
  drawn.set(place, [name, rows, change]);
  const ink = dark() ? "#e4e8ee" : "#1b2430";
  const rule = dark() ? "#353c47" : "#d5dbe3";
  const spec = change(structuredClone(data().charts[name]));
  const config = {
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: { labelColor: ink, titleColor: ink, gridColor: rule, domainColor: rule, tickColor: rule, labelFontSize: 11 },
    legend: { labelColor: ink, titleColor: ink },
    text: { color: ink },
    point: { color: dark() ? "#7ab7ff" : "#0b57a4" },
    line: { color: dark() ? "#7ab7ff" : "#0b57a4" },
    range: { category: { scheme: dark() ? "set2" : "dark2" } },
  };
  const options = { ast: true, actions: false, renderer: "svg", config, tooltip: { theme: dark() ? "dark" : "light" } };
  return window.vegaEmbed(place, { ...spec, datasets: { rows } }, options);
}
function redraw() {
  for (const [place, [name, rows, change]] of drawn) {
    if (place.isConnected) draw(place, name, rows, change);
    else drawn.delete(place);
  }
}

function whenSeen(place, act) {
  const watching = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watching.disconnect();
    act();
  });
  watching.observe(place);
}
function scrolling(element, label) {
  const scroll = make("div", null, { class: "scroll", role: "region", "aria-label": label, tabindex: "0" });
  scroll.append(element);
  return scroll;
}

// What both tables have in common: no furniture but the headings.
const bare = {
  paging: false, info: false, autoWidth: false, order: [],
  layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
};

// Scores: sorted by heading, best first; filtered by row and by column.
const scores = $("scores") && (() => {
  const heads = [...$("scores").tHead.rows[0].cells];
  const order = heads.map((head) => (head.dataset.direction === "maximise" ? ["desc", "asc"] : ["asc", "desc"]));
  const table = new window.DataTable("#scores", { ...bare, columns: order.map((orderSequence) => ({ orderSequence })) });
  const row = { family: "by-family", size: "by-size", tuning: "by-tuning" };
  const column = { group: "by-group", kind: "by-kind" };
  table.search.fixed("choices", (_text, _row, index) => {
    const own = table.row(index).node().dataset;
    return Object.entries(row).every(([name, id]) => !$(id).value || $(id).value === own[name]);
  });
  const refresh = () => {
    table.columns().every(function (index) {
      const own = heads[index].dataset;
      if (own.group) this.visible(Object.entries(column).every(([name, id]) => !$(id).value || $(id).value === own[name]), false);
    });
    table.column(0).search($("search").value, { exact: false, smart: true });
    table.draw();
    const tasks = heads.flatMap((head, index) => (head.dataset.group ? [table.column(index).visible()] : []));
    $("shown").textContent = `${table.rows({ search: "applied" }).count()} of ${table.rows().count()} architectures, ${tasks.filter(Boolean).length} of ${tasks.length} columns`;
  };
  $("filters").addEventListener("input", refresh);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(refresh));
  refresh();
  return table;
})();

// Rankings: one set of tasks at a time; who beats whom is laid out when its set is looked at.
function layPairs(place) {
  const set = data().pairs[Number(place.dataset.set)];
  const element = make("table", null, { class: "pairs" });
  const head = element.createTHead().insertRow();
  head.append(make("td", ""));
  for (const label of set.labels) head.append(make("th", label, { scope: "col" }));
  const body = element.createTBody();
  set.labels.forEach((label, a) => {
    const line = body.insertRow();
    line.append(make("th", label, { scope: "row" }));
    set.labels.forEach((other, b) => {
      const [better, low, high] = [set.better[a][b], set.low[a][b], set.high[a][b]];
      const field = make("td", a === b ? "" : better ?? "–");
      line.append(field);
      if (a === b) field.className = "self";
      else if (better === null) field.title = "no task and seed in common";
      else {
        field.style.setProperty("--p", `${better}%`);
        if (low !== null && (low > 50 || high < 50)) field.className = "sure";
        const interval = low === null ? "" : `, 95 % interval ${low}–${high} %`;
        field.title = `${label} better than ${other}: ${better} %${interval}, ${set.runs[a][b]} shared runs on ${set.tasks[a][b]} tasks`;
      }
    });
  });
  place.replaceChildren(scrolling(element, `Probability that the row is better than the column, over ${set.name}`));
}
function showRanking(id) {
  for (const section of document.querySelectorAll(".ranking")) section.hidden = section.id !== id;
  const place = $(id).querySelector(".pairs-place");
  if (!place.firstChild) layPairs(place);
}
if ($("ranking-set")) {
  $("ranking-set").addEventListener("change", (event) => showRanking(event.target.value));
  whenSeen($("ranking"), () => showRanking($("ranking-set").value));
}

// Costs: one machine at a time, so that times of two are never in one order.
if ($("costs")) {
  const table = new window.DataTable("#costs", bare);
  table.columns([0, 1]).visible(false);
  table.search.fixed("choices", (_text, _row, index) => {
    const own = table.row(index).node().dataset;
    return own.machine === $("cost-machine").value && own.task === $("cost-task").value;
  });
  const refresh = () => {
    table.draw();
    const quantity = $("cost-quantity").value;
    const rows = data().costs
      .filter((row) => row.machine === $("cost-machine").value && row.task === Number($("cost-task").value))
      .filter((row) => row.costs[quantity] > 0)
      .map((row) => ({ ...row, cost: row.costs[quantity], front: row.fronts.includes(quantity) }))
      .map((row, _, all) => ({ ...row, name: row.front || all.length <= 20 ? row.label : "" }));
    const task = $("cost-task").selectedOptions[0].textContent;
    $("cost-chosen").textContent = `${task}; ${$("cost-machine").value}`;
    const titled = (spec) => {
      for (const layer of spec.layer) {
        layer.encoding.x.title = data().quantities[quantity];
        layer.encoding.y.title = task;
      }
      return spec;
    };
    if (rows.length) draw($("pareto"), "pareto", rows, titled);
    else {
      drawn.delete($("pareto"));
      $("pareto").replaceChildren(make("p", "No record says this cost here.", { class: "note" }));
    }
  };
  $("cost-form").addEventListener("change", refresh);
  table.draw();
  whenSeen($("pareto"), refresh);
}

// Length generalisation: a task at a time, a line for each architecture.
function lengthRows(field) {
  return field.runs.flatMap((run) => (run.lengths ?? []).map(([length, score]) => (
    { label: field.label, seed: `${run.seed}`, length, score, trained_to: field.trained_to })));
}
if ($("length-task")) {
  const show = () => {
    const task = Number($("length-task").value);
    const fields = Object.entries(data().runs.fields).filter(([key]) => Number(key.split(",")[1]) === task).map(([, field]) => field);
    draw($("length-chart"), "lengths", fields.flatMap(lengthRows));
  };
  $("length-task").addEventListener("change", show);
  whenSeen($("length-chart"), show);
}

// A field opens.
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button.field");
  if (button) open(button.dataset.key);
});

function table(headings, rows, label) {
  const element = make("table");
  const head = element.createTHead().insertRow();
  for (const heading of headings) head.append(make("th", heading, { scope: "col" }));
  const body = element.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const value of row) line.append(make("td", value));
  }
  return scrolling(element, label);
}

function pairs(values) {
  const list = make("dl");
  for (const [name, value] of Object.entries(values)) {
    list.append(make("dt", name), make("dd", typeof value === "object" ? JSON.stringify(value) : value));
  }
  return list;
}

function open(key) {
  const { fields, environments } = data().runs;
  const field = fields[key];
  const content = $("run-content");
  const add = (...elements) => content.append(...elements);
  content.replaceChildren();
  $("run-title").textContent = field.title;
  if (field.standing) add(make("p", field.standing));
  const done = field.runs.filter((run) => run.score !== undefined);
  const charts = [];
  if (done.length) {
    const baseline = field.baseline === null ? "" : `; chance here is ${field.baseline}`;
    add(make("h3", `Seeds: ${field.metric}, ${field.better} is better${baseline}`));
    const counted = done.filter((run) => run.state === "done");
    if (counted.length) charts.push(["seeds", counted.map(({ seed, score }) => ({ seed: `${seed}`, score }))]);
    add(...charts.map(() => make("div", null, { class: "chart" })));
  }
  const heads = ["seed", "state", field.metric, "validation", "steps", "training s", "parameters", "backend", "run"];
  add(table(heads, field.runs.map((run) => [
    run.seed, run.uncertified ? `${run.state}, not certified` : run.state, run.score, run.validation?.[field.metric] ?? "", run.cost?.steps, run.cost?.train_seconds,
    run.parameters, run.backend, run.id,
  ]), "Runs"));
  const points = done.flatMap((run) => run.curve.map(([step, loss, score]) => ({ seed: `${run.seed}`, step, loss, score })));
  if (points.length) {
    add(make("h3", "Learning curves"), make("div", null, { class: "chart" }), make("div", null, { class: "chart" }));
    charts.push(["score", points], ["loss", points.filter((point) => point.loss !== null)]);
    const numbers = make("details");
    numbers.append(make("summary", "in numbers"), table(["seed", "step", "training loss", "validation score"], points.map((point) => [point.seed, point.step, point.loss, point.score]), "Learning curves in numbers"));
    add(numbers);
  }
  const lengths = lengthRows(field);
  if (lengths.length) {
    add(make("h3", "Score by length; shaded: lengths of training"), make("div", null, { class: "chart" }));
    charts.push(["lengths_by_seed", lengths]);
  }
  if (field.tuning) {
    add(make("h3", `Tuned: ${field.tuning.chosen}`), make("div", null, { class: "chart" }));
    charts.push(["trials", field.tuning.curve.map((score, index) => ({ trials: index + 1, score }))]);
  }
  for (const run of field.runs) {
    if (run.reason || run.log || run.attempts) {
      add(make("h3", `Seed ${run.seed} ${run.state === "done" ? "was begun more than once" : `is ${run.state}`}`));
      if (run.reason) add(make("p", run.reason));
      for (const attempt of run.attempts ?? []) add(make("p", `earlier attempt: ${attempt}`));
      if (run.log) add(make("pre", run.log, { tabindex: "0", "aria-label": "end of the log" }));
    }
    for (const one of run.artefacts ?? []) {
      add(make("h3", `Seed ${run.seed}: ${one.title}`), make("pre", one.text, { tabindex: "0", "aria-label": one.title }));
    }
  }
  add(make("h3", "Run it again"), make("pre", field.again, { tabindex: "0", "aria-label": "command" }));
  const copy = make("button", "Copy", { type: "button" });
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(field.again);
    copy.textContent = "Copied";
  });
  if (navigator.clipboard) add(copy);
  add(make("h3", "Settings"), pairs(field.settings), make("h3", "Budget and data"), pairs({ ...field.budget, ...field.data }));
  const where = [...new Set(field.runs.map((run) => run.environment).filter((one) => one !== undefined))];
  for (const one of where) add(make("h3", "Environment"), pairs(environments[one]));
  $("run").showModal();
  $("run").scrollTop = 0;
  const places = content.querySelectorAll(":scope > .chart");
  charts.forEach(([name, rows], index) => draw(places[index], name, rows));
}

// Print: everything that is folded is unfolded, and a wide table is laid out in parts that fit a page.
function inParts(whole, columns) {
  const count = whole.tHead.rows[0].cells.length;
  const parts = make("div", null, { class: "parts" });
  for (let start = 1; start < count; start += columns) {
    const part = whole.cloneNode(true);
    part.removeAttribute("id");
    part.removeAttribute("style");
    part.querySelector("colgroup")?.remove();
    for (const line of part.rows) {
      [...line.cells].forEach((cell, index) => {
        if (index && (index < start || index >= start + columns)) cell.remove();
      });
    }
    parts.append(part);
  }
  whole.closest(".scroll").after(parts);
}
addEventListener("beforeprint", () => {
  if ($("ranking-set")) showRanking($("ranking-set").value);
  if ($("scores")) inParts($("scores"), 10);
  for (const table of document.querySelectorAll(".scroll > .pairs")) inParts(table, 20);
  for (const details of document.querySelectorAll("details:not([open])")) {
    details.open = true;
    details.dataset.folded = "";
  }
});
addEventListener("afterprint", () => {
  for (const parts of document.querySelectorAll(".parts")) parts.remove();
  for (const details of document.querySelectorAll("details[data-folded]")) {
    details.open = false;
    delete details.dataset.folded;
  }
});
setTheme("system");

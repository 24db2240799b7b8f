// A field opens: its seeds, curves, settings, and the command that runs it again.
function seedsChart(field, counted) {
  const rows = counted.map(({ seed, score }) => ({ seed: `${seed}`, score }));
  if (!field.scale) return ["seeds", rows];
  const { chance, one, is_ceiling } = field.scale;
  const marks = [{ score: chance, mark: "chance", side: chance < one ? "left" : "right" },
                 { score: one, mark: is_ceiling ? "ceiling" : "best mean here", side: chance < one ? "right" : "left" }];
  const all = [chance, one, ...counted.map((run) => run.score)];
  return ["seeds", [...rows, ...marks], (spec) => {
    for (const layer of spec.layer) layer.encoding.x.scale = { domain: [Math.min(...all), Math.max(...all)], nice: false, zero: false };
    return spec;
  }];
}

function openField(track, key) {
  const { fields, environments } = runs()[track.index];
  const field = fields[key];
  if (!field) return;
  const [row, column] = key.split(",").map(Number);
  address.set("cell", `${track.data.rows[row].label}/${track.data.columns[column].key}`);
  const content = $("run-content");
  const add = (...elements) => content.append(...elements);
  content.replaceChildren();
  $("run-title").textContent = field.title;
  if (field.standing) add(make("p", field.standing));
  const done = field.runs.filter((run) => run.score !== undefined);
  const charts = [];
  const chart = (name, rows, change) => {
    charts.push([name, rows, change]);
    return make("div", null, { class: "chart" });
  };
  if (done.length) {
    const baseline = field.baseline === null ? "" : `; chance here is ${field.baseline}`;
    add(make("h3", `Seeds: ${field.metric}, ${field.better} is better${baseline}`));
    const counted = done.filter((run) => run.state === "done");
    if (counted.length) add(chart(...seedsChart(field, counted)));
  }
  const heads = ["seed", "state", field.metric, "validation", "steps", "training s", "wall-clock s", "parameters", "backend", "run"];
  add(plainTable(heads, field.runs.map((run) => [
    run.seed, run.uncertified ? `${run.state}, not certified` : run.state, run.score, run.validation?.[field.metric] ?? "", run.cost?.steps, run.training_seconds, run.cost?.train_seconds,
    run.parameters, run.backend, run.id,
  ]), "Runs"));
  const points = done.flatMap((run) => run.curve.map(([step, loss, score]) => ({ seed: `${run.seed}`, step, loss, score })));
  if (points.length) {
    add(make("h3", "Learning curves"));
    if (done.some((run) => run.curve.length > 1)) add(chart("score", points), chart("loss", points.filter((point) => point.loss !== null)));
    const numbers = make("details");
    numbers.append(make("summary", "in numbers"), plainTable(["seed", "step", "training loss", "validation score"], points.map((point) => [point.seed, point.step, point.loss, point.score]), "Learning curves in numbers"));
    add(numbers);
  }
  const lengths = field.runs.flatMap((run) => (run.lengths ?? []).map(([length, score]) => (
    { seed: `${run.seed}`, length, score, trained_to: field.trained_to })));
  if (lengths.length) add(make("h3", "Score by length; shaded: lengths of training"), chart("lengths_by_seed", lengths));
  if (field.tuning) {
    add(make("h3", `Tuned: ${field.tuning.chosen}`));
    if (field.tuning.curve.length) add(chart("trials", field.tuning.curve.map((score, index) => ({ trials: index + 1, score }))));
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
  if (navigator.clipboard) add(copyButton("Copy", () => field.again));
  add(make("h3", "Settings"), definitions(field.settings), make("h3", "Budget and data"), definitions({ ...field.budget, ...field.data }));
  const where = [...new Set(field.runs.map((run) => run.environment).filter((one) => one !== undefined))];
  for (const one of where) add(make("h3", "Environment"), definitions(environments[one]));
  if (!$("run").open) $("run").showModal();
  $("run").scrollTop = 0;
  const places = content.querySelectorAll(":scope > .chart");
  charts.forEach(([name, rows, change], index) => draw(places[index], name, rows, change));
}

function copyButton(title, text) {
  const button = make("button", title, { type: "button" });
  button.addEventListener("click", () => copy(button, text()));
  return button;
}
async function copy(button, text) {
  await navigator.clipboard.writeText(text);
  button.textContent = "Copied";
}

// The field that the address names: architecture, a slash, column.
function openNamed(track) {
  const named = address.get("cell");
  const cut = named.lastIndexOf("/");
  const row = track.data.rows.findIndex((one) => one.label === named.slice(0, cut));
  const column = track.data.columns.findIndex((one) => one.key === named.slice(cut + 1));
  if (cut > 0 && row >= 0 && column >= 0) openField(track, `${row},${column}`);
  else if ($("run").open) $("run").close();
}

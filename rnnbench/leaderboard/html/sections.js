// Which architectures have colour: those of the address, else the first five by place of those that can be drawn.
function picked(track, drawable = track.data.order) {
  const named = address.get("pick");
  if (!named) return track.data.order.filter((label) => drawable.includes(label)).slice(0, 5);
  return named.split(",").filter((label) => track.data.order.includes(label)).slice(0, MAX_PICKED);
}
function pickers(track, redrawLines) {
  const places = [...track.root.querySelectorAll("[data-picker]")];
  const refresh = () => {
    const now = picked(track);
    const palette = colors();
    for (const place of places) {
      for (const button of place.querySelectorAll("[data-label]")) {
        const at = now.indexOf(button.dataset.label);
        button.setAttribute("aria-pressed", at >= 0);
        button.style.setProperty("--own", at >= 0 ? palette[at] : "transparent");
      }
    }
  };
  for (const place of places) {
    for (const label of track.data.order) place.append(make("button", label, { type: "button", "data-label": label }));
    place.append(make("button", "first five", { type: "button", class: "all" }));
    place.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const { label } = button.dataset;
      const now = picked(track);
      const next = !label ? [] : now.includes(label) ? now.filter((one) => one !== label) : [...now, label].slice(-MAX_PICKED);
      address.set("pick", label ? next.join(",") || "none" : "");
      refresh();
      redrawLines();
    });
  }
  return refresh;
}

// The value of a line at a place: between two of its points in proportion, outside of them undefined.
function valueAt(line, where) {
  const after = line.findIndex(([at]) => at >= where);
  if (after < 0) return undefined;
  const [right, above] = line[after];
  if (right === where) return above;
  if (after === 0) return undefined;
  const [left, below] = line[after - 1];
  return below + (above - below) * (where - left) / (right - left);
}

// Means over seeds, with the lowest and the highest; `points` of a run are pairs of where and how much. A mean is of
// all seeds or none: where some have stopped early, or have a point that others lack, fewer would make a jump.
function lineRows(track, column, along, points) {
  return Object.entries(runs()[track.index].fields).flatMap(([key, field]) => {
    if (Number(key.split(",")[1]) !== column) return [];
    const lines = field.runs.filter((run) => run.state === "done")
      .map((run) => points(run).filter(([, value]) => value !== null && value !== undefined)).filter((line) => line.length);
    const places = [...new Set(lines.flatMap((line) => line.map(([where]) => where)))].sort((a, b) => a - b);
    return places.map((where) => [where, lines.map((line) => valueAt(line, where))])
      .filter(([, values]) => !values.includes(undefined))
      .map(([where, values]) => ({
        label: field.label, [along]: where, score: mean(values), low: Math.min(...values), high: Math.max(...values), n: values.length,
        ...(field.trained_to ? { trained_to: field.trained_to } : {}),
      }));
  });
}

function lineSection(track, name, along, points, titleOf) {
  const place = track.part(`${name}-chart`);
  if (!place) return () => {};
  const control = track.root.querySelector(`[data-state="${name}"]`);
  const show = () => {
    const column = track.data.columns.findIndex((one) => one.key === control.value);
    const rows = lineRows(track, column, along, points);
    const chosen = picked(track, [...new Set(rows.map((row) => row.label))]);
    for (const row of rows) row.picked = chosen.includes(row.label);
    if (!rows.length) return noChart(place, "No record says this here.");
    const now = chosen.filter((label) => rows.some((row) => row.label === label));
    const palette = colors();
    const at = now.map((label) => chosen.indexOf(label));
    const colored = rows.filter((row) => row.picked).length;
    return drawFigure(track, place, name, rows, (spec) => {
      spec.layer = spec.layer.filter((layer) => (layer.name === "others" ? colored < rows.length : colored || !layer.encoding.color));
      for (const layer of spec.layer) {
        const { color, strokeDash, y } = layer.encoding;
        if (y && layer.mark.type !== "rect") y.title = titleOf(track.data.columns[column]);
        if (color) color.scale = { domain: now, range: at.map((one) => palette[one]) };
        if (strokeDash) strokeDash.scale = { domain: now, range: at.map((one) => DASHES[one]) };
        if (color?.legend && phone.matches) color.legend.columns = 2;
      }
      return spec;
    });
  };
  let seen = false;
  whenSeen(place, () => {
    seen = true;
    show();
  });
  return () => seen && show();
}

// The costs of a column have its number, means over several have a name.
const isMean = (task) => !/^\d+$/.test(task);

// Costs: one machine at a time, so that times of two are never in one order.
function costRows(track, task, machine, quantity) {
  return track.data.costs
    .filter((row) => row.task === task && row.machine === machine && row.costs[quantity] > 0)
    .map((row) => ({ label: row.label, score: isMean(task) ? 100 * row.score : row.score, cost: row.costs[quantity],
                     backend: row.backend, n: row.n, front: row.fronts.includes(quantity) }))
    .sort((a, b) => b.front - a.front || a.cost - b.cost)
    .map((row, order) => ({ ...row, order }));
}
function drawCosts(track, place, rows, scoreTitle, costTitle, height) {
  return drawFigure(track, place, "cost", rows, (spec) => {
    const values = { score_title: scoreTitle, cost_title: `${costTitle} (logarithmic)`, height };
    for (const signal of spec.signals) if (signal.name in values) signal.value = values[signal.name];
    return spec;
  });
}
const MEAN_SCORE = "mean normalised score, %";
function costSection(track) {
  const element = track.part("costs");
  if (!element) return () => {};
  let table;
  const chosen = () => {
    const key = track.root.querySelector("[data-state=cost]").value;
    const machines = track.root.querySelector("[data-state=machine]");
    const column = track.data.columns.findIndex((one) => one.key === key);
    return { task: column >= 0 ? `${column}` : key || "mean", machine: machines.selectedOptions[0].textContent, quantity: track.root.querySelector("[data-state=quantity]").value || "train_seconds" };
  };
  const setUp = () => {
    table = new window.DataTable(element, bare);
    table.search.fixed("choices", (_text, _row, index) => {
      const own = table.row(index).node().dataset;
      const { task, machine } = chosen();
      return own.machine === machine && own.task === task;
    });
  };
  const place = track.part("cost-chart");
  const refresh = () => {
    if (!table) return;
    table.draw();
    const { task, machine, quantity } = chosen();
    const title = isMean(task) ? MEAN_SCORE : track.data.columns[task].heading;
    track.part("cost-chosen").textContent = `${title}; ${machine}`;
    const rows = costRows(track, task, machine, quantity);
    if (rows.length) drawCosts(track, place, rows, title, data().quantities[quantity], 460);
    else noChart(place, "No record says this cost here.");
  };
  whenSeen(place, () => {
    setUp();
    refresh();
  });
  return refresh;
}
// Over all tasks beside the first ranking, over each group beside its own.
function meanCharts(track) {
  for (const place of track.root.querySelectorAll("[data-cost-of]")) {
    const task = place.dataset.costOf;
    const machine = track.data.costs.find((row) => row.task === task)?.machine;
    const rows = costRows(track, task, machine, "train_seconds");
    const show = () => drawCosts(track, place, rows, MEAN_SCORE, "training s of a run", phone.matches ? 330 : 400);
    if (!rows.length) noChart(place, "No two ranked architectures have run all of these tasks on one machine.");
    else if (task === "mean") show();
    else whenSeen(place, show);
  }
}

// Who beats whom, as a table whose colours are deeper the further from 50 %.
function pairSection(track) {
  const place = track.part("pairs-place");
  if (!place) return () => {};
  return () => {
    const key = track.root.querySelector("[data-state=pairs]").value;
    const set = track.data.pairs.find((one) => one.key === key) ?? track.data.pairs[0];
    const element = make("table", null, { class: "pairs" });
    const head = element.createTHead().insertRow();
    head.append(make("td", ""));
    for (const label of set.labels) head.append(make("th", label, { scope: "col" }));
    const body = element.createTBody();
    const rows = [];
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
          rows.push({ row: label, column: other, better_percent: better, low, high, runs: set.runs[a][b], tasks: set.tasks[a][b] });
        }
      });
    });
    place.replaceChildren(scrolling(element, `Probability that the row is better than the column, over ${set.name}`));
    addTools(place.closest(".figure"), track.data.name, { rows: () => rows });
  };
}

// Diagrams that are in the page as SVG.
function diagrams(track) {
  for (const figure of track.root.querySelectorAll(".figure:has(.diagram)")) {
    addTools(figure, track.data.name, { picture: () => {
      const svg = figure.querySelector(".diagram svg").cloneNode(true);
      const [, , width, height] = svg.getAttribute("viewBox").split(/\s+/);
      svg.setAttribute("width", width);
      svg.setAttribute("height", height);
      svg.setAttribute("style", `color:${getComputedStyle(document.body).color};background:${getComputedStyle(document.body).backgroundColor};font-family:sans-serif`);
      return new XMLSerializer().serializeToString(svg);
    } });
  }
}

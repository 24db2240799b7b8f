// Theme: the system's, until the reader says otherwise.
const themes = ["system", "light", "dark"];
let theme = 0;
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

// Okabe & Ito's colours, told apart by most eyes, and a pattern of dashes each, told apart without colour.
const colors = () => [dark() ? "#56b4e9" : "#0072b2", "#d55e00", dark() ? "#2fc39b" : "#009e73", "#cc79a7", "#e69f00", dark() ? "#b39ddb" : "#6a4fb3", dark() ? "#e4e8ee" : "#1b2430", "#8c6d31"];
const DASHES = [[1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [1, 0], [7, 3], [2, 2], [9, 3, 2, 3]];
const MAX_PICKED = colors().length;

// Charts: drawn again in the colours of another theme, and after a change of what they show.
const drawn = new Map();
const views = new Map();
async function draw(place, name, rows, change = (spec) => spec) {
  drawn.set(place, [name, rows, change]);
  const ink = dark() ? "#e4e8ee" : "#1b2430";
  const rule = dark() ? "#353c47" : "#d5dbe3";
  const accent = dark() ? "#7ab7ff" : "#0b57a4";
  const spec = change(structuredClone(data().charts[name]));
  const config = {
    background: dark() ? "#14171c" : "#ffffff",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: { labelColor: ink, titleColor: ink, gridColor: rule, domainColor: rule, tickColor: rule, labelFontSize: 11, titleFontWeight: "normal" },
    legend: { labelColor: ink, titleColor: ink, labelFontSize: 12 },
    text: { color: ink },
    rule: { color: ink },
    point: { color: accent },
    line: { color: accent },
    range: { category: colors() },
  };
  const options = { ast: true, actions: false, renderer: "svg", config, tooltip: { theme: dark() ? "dark" : "light" } };
  if (spec.signals) {
    spec.data[0].values = rows;
    const values = { ink, rule, front_color: accent, other_color: dark() ? "#98a3b1" : "#6b7686" };
    for (const signal of spec.signals) if (signal.name in values) signal.value = values[signal.name];
  } else spec.datasets = { rows };
  const made = await window.vegaEmbed(place, spec, options);
  views.set(place, made.view);
  return made;
}
function redraw() {
  for (const [place, [name, rows, change]] of drawn) {
    if (place.isConnected) draw(place, name, rows, change);
    else drawn.delete(place);
  }
}
function noChart(place, why) {
  drawn.delete(place);
  views.delete(place);
  place.replaceChildren(make("p", why, { class: "note" }));
}

// A chart in a figure, with its downloads; `rows` as they are drawn.
function drawFigure(track, place, name, rows, change) {
  addTools(place.closest(".figure"), track.data.name, { picture: () => views.get(place).toSVG(), rows: () => rows });
  return draw(place, name, rows, change);
}

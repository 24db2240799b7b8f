// DataTables sorts and filters, Vega draws, this hands them what the page carries. No text becomes markup here.
const $ = (id) => document.getElementById(id);
const parsed = (id) => {
  let value;
  return () => (value ??= JSON.parse($(id).textContent));
};
const data = parsed("data");
const runs = parsed("runs"); // large: read when a chart or a field needs it
const phone = matchMedia("(max-width: 42rem)");

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function scrolling(element, label) {
  const scroll = make("div", null, { class: "scroll", role: "region", "aria-label": label, tabindex: "0" });
  scroll.append(element);
  return scroll;
}

function plainTable(headings, rows, label) {
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

function definitions(values) {
  const list = make("dl");
  for (const [name, value] of Object.entries(values)) {
    list.append(make("dt", name), make("dd", value !== null && typeof value === "object" ? JSON.stringify(value) : value));
  }
  return list;
}

// Acts once: when the place comes near the window, or before the page is printed.
function whenSeen(place, act) {
  const once = () => {
    watching.disconnect();
    removeEventListener("beforeprint", once);
    act();
  };
  const watching = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && once(), { rootMargin: "300px" });
  watching.observe(place);
  addEventListener("beforeprint", once);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// Downloads: figures as SVG and PNG, what they show as CSV.
function download(name, content, type) {
  const link = make("a", null, { download: name });
  link.href = typeof content === "string" && content.startsWith("data:") ? content : URL.createObjectURL(new Blob([content], { type }));
  document.body.append(link);
  link.click();
  link.remove();
}

// A text that a spreadsheet would take for a formula has an apostrophe before it.
function csv(rows) {
  const names = [...new Set(rows.flatMap(Object.keys))];
  const field = (value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && /^\s*[=+\-@]/.test(value) ? `'${value}` : `${value}`;
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(field).join(",")).join("\n") + "\n";
}

function pngOf(svg) {
  return new Promise((done, fail) => {
    const image = new Image();
    image.onload = () => {
      const canvas = make("canvas", null, { width: 2 * image.width, height: 2 * image.height });
      const context = canvas.getContext("2d");
      context.scale(2, 2);
      context.drawImage(image, 0, 0);
      done(canvas.toDataURL("image/png"));
    };
    image.onerror = fail;
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  });
}

// Buttons above a figure; `picture` gives its SVG, `rows` what it shows.
function addTools(figure, prefix, { picture, rows }) {
  figure.querySelector(":scope > .tools")?.remove();
  const tools = make("div", null, { class: "tools" });
  const name = `rnnbench-${prefix}-${figure.dataset.name}`;
  const add = (kind, act) => {
    const button = make("button", kind, { type: "button", "aria-label": `Download ${figure.dataset.name.replaceAll("-", " ")} as ${kind}` });
    button.addEventListener("click", act);
    tools.append(button);
  };
  if (picture) {
    add("SVG", async () => download(`${name}.svg`, await picture(), "image/svg+xml"));
    add("PNG", async () => download(`${name}.png`, await pngOf(await picture()), "image/png"));
  }
  if (rows) add("CSV", () => download(`${name}.csv`, csv(rows()), "text/csv"));
  figure.prepend(tools);
}

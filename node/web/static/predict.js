// The page /predict: a file is dropped or chosen, posted as it is, and its answer is shown. No answer is HTML.
"use strict";

const form = document.getElementById("predict");
const file = document.getElementById("file");
const drop = document.getElementById("drop");
const progress = document.getElementById("progress");
const answer = document.getElementById("answer");
const csrf = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF-Token"];
let latest = 0; // number of the newest request: an older answer is not shown

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function amount(value, quantity) {
  return quantity === "probability" ? `${Math.round(100 * value)} %` : value.toFixed(2);
}

async function predict(given) {
  const number = ++latest;
  answer.replaceChildren();
  progress.className = "";
  progress.textContent = `${given.name} is being predicted …`;
  const parameters = new URLSearchParams({ pictures: "png" });
  const chosen = document.getElementById("package").value;
  if (chosen) parameters.set("package", chosen);
  const headers = { "Content-Type": "application/octet-stream", "X-CSRF-Token": csrf };
  let shown, good = false;
  try {
    const response = await fetch(`/predict?${parameters}`, { method: "POST", body: given, headers });
    const is_json = (response.headers.get("content-type") || "").startsWith("application/json");
    shown = is_json ? await response.json() : { error: await response.text() };
    good = response.ok;
  } catch {
    shown = { error: "The node does not answer, or ended the connection." };
  }
  if (number !== latest) return;
  if (!good) {
    progress.className = "bad";
    progress.textContent = shown.error;
    return;
  }
  progress.textContent = `${given.name}: answered in ${shown.seconds.toFixed(1)} s. ${shown.research_use}`;
  answer.append(...shown.packages.map(section));
  const others = shown.not_analysed.map((one) => `${one.package}: ${one.reason}`);
  if (others.length) answer.append(element("p", `Not analysed by ${others.join("; ")}.`, "hint"));
}

function section(of) {
  const made = element("section", "", "panel predicted");
  const words = element("div");
  words.append(element("h2", `${of.package} ${of.version}`), table(of));
  words.append(...of.remarks.map((one) => element("p", one, "hint")));
  const pictures = element("div");
  for (const picture of of.pictures) pictures.append(figure(picture, of.findings));
  made.append(pictures, words);
  return made;
}

function table(of) {
  const made = element("table");
  const head = made.createTHead().insertRow();
  const value = of.quantity === "probability" ? "Probability" : "Score";
  for (const name of ["Finding", value, "Threshold", "", "Where"]) {
    const cell = element("th", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = made.createTBody();
  const order = [...of.findings].sort((a, b) => b.present - a.present || b.probability - a.probability);
  for (const finding of order) {
    const row = body.insertRow();
    const name = element("th", finding.label);
    name.scope = "row";
    if (finding.present && finding.regions.length) {
      name.style.borderLeft = `.4rem solid ${finding.colour}`;
    }
    row.append(name);
    for (const text of [finding.probability, finding.threshold]) {
      row.append(element("td", amount(text, of.quantity), "number"));
    }
    row.append(element("td", finding.present ? "present" : "absent"), element("td", finding.place));
    if (finding.present) row.className = "present";
  }
  return made;
}

function figure(picture, findings) {
  const made = element("figure");
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  const here = findings.flatMap((one) => one.regions.filter((region) => region.slice === picture.slice)
    .map((region) => ({ region, colour: one.colour, label: one.label })));
  const named = [...new Set(here.map((one) => one.label))].join(", ");
  canvas.setAttribute("aria-label", named ? `The image with regions of ${named}` : "The image; no region");
  const slice = picture.slice === null ? "" : `slice ${picture.slice}, `;
  made.append(canvas, element("figcaption", `${slice}${picture.shown}`.toLowerCase(), "hint"));
  draw(canvas, picture, here);
  return made;
}

async function draw(canvas, picture, here) {
  const bytes = Uint8Array.from(atob(picture.png), (one) => one.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  canvas.width = image.width;
  canvas.height = image.height;
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const scale = image.width / picture.columns;
  pen.lineWidth = Math.max(2, image.width / 300);
  for (const { region, colour } of here) {
    pen.strokeStyle = colour;
    pen.beginPath();
    for (const [x, y] of region.polygon) pen.lineTo(x * scale, y * scale);
    pen.closePath();
    pen.stroke();
  }
}

form.addEventListener("submit", (event) => event.preventDefault());
file.addEventListener("change", () => { if (file.files.length) predict(file.files[0]); });
document.getElementById("package").addEventListener("change", () => { if (file.files.length) predict(file.files[0]); });
for (const name of ["dragover", "dragleave", "drop"]) {
  window.addEventListener(name, (event) => {
    event.preventDefault(); // a file that misses the field is not opened by the browser in place of the page
    drop.classList.toggle("over", name === "dragover");
  });
}
window.addEventListener("drop", (event) => {
  if (!event.dataTransfer.files.length) return;
  file.files = event.dataTransfer.files;
  predict(file.files[0]);
});

"use strict";
const page = JSON.parse(document.getElementById("content").textContent);
const at = id => document.getElementById(id);
const names = ["stem", "file", "start", "end", "classId", "name", "score", "clock", "site", "from", "to", "turn",
  "classTurn", "band"];
const clips = page.clips.map((row, index) => ({index, ...Object.fromEntries(names.map((name, i) => [name, row[i]]))}));
const identity = clip => JSON.stringify([clip.file, clip.start, clip.end, clip.classId]);
const byIdentity = new Map(clips.map(clip => [identity(clip), clip]));
const storageKey = "bird_tf review " + page.id;
const verdicts = new Map();  // clip index → {answer, species}
const changes = [];  // clip index and the verdict before, for undo
const besides = matchMedia("(min-width: 50.01rem)");  // the list lies beside the clip, not below it
let shown = [], current = null, unsaved = false;

// verdicts: kept by the browser, saved to and loaded from verdicts.csv
function keep() {
  try {
    localStorage.setItem(storageKey, JSON.stringify([...verdicts].map(([i, v]) => [i, v.answer, v.species])));
  } catch (error) {
    warn("This browser does not keep verdicts: save verdicts.csv before you close the page.");
    unsaved = true;
  }
}
function recall() {
  try {
    for (const [i, answer, species] of JSON.parse(localStorage.getItem(storageKey)) || [])
      if (clips[i]) verdicts.set(i, {answer, species});
  } catch (error) { warn("The verdicts that this browser kept cannot be read: load verdicts.csv."); }
}
function warn(text) { at("warning").textContent = text; at("warning").hidden = false; }
addEventListener("beforeunload", event => { if (unsaved) event.preventDefault(); });

const columns = ["file", "start_seconds", "end_seconds", "class_id", "verdict", "species", "probability", "band_lowest",
  "band_size", "scale", "band_turn", "band_sizes", "class_turn", "class_sizes"];
function cell(value) {
  let text = String(value);
  const formula = text.replace(/^'+/, "");  // as bird_tf.files defuses it
  if (formula.length > 1 && /^[=+\-@\t\r]/.test(formula) && isNaN(Number(formula))) text = "'" + text;
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}
// number of predictions in a band: of a species, or of all
const bandSize = (band, species) => species ? page.sizes[species]?.[band] ?? 0 :
  Object.values(page.sizes).reduce((sum, sizes) => sum + sizes[band], 0);
const sizesCell = species => page.edges.map((edge, band) => `${edge}=${bandSize(band, species)}`).join(";");
function asTable() {
  const lines = [columns], ofAll = sizesCell(), ofSpecies = new Map(Object.keys(page.sizes).map(id => [id, sizesCell(id)]));
  for (const clip of clips) {
    const verdict = verdicts.get(clip.index);
    if (verdict) lines.push([clip.file, clip.start, clip.end, clip.classId, verdict.answer, verdict.species,
      page.score === "probability" ? clip.score : "",
      ...(page.sampled ? [page.edges[clip.band], bandSize(clip.band)] : ["", ""]), page.scale,
      ...(page.sampled ? [clip.turn, ofAll, clip.classTurn, ofSpecies.get(clip.classId)] : ["", "", "", ""])]);
  }
  return lines.map(line => line.map(cell).join(",") + "\n").join("");
}
function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([asTable()], {type: "text/csv"}));
  link.download = "verdicts.csv";
  link.click();
  unsaved = false;
}
function parse(text) {  // comma-separated text → rows; a spreadsheet program may have saved it with another delimiter
  const rows = [[""]], first = text.split(/[\r\n]/, 1)[0];
  const delimiter = [",", ";", "\t"].find(sign => first.split(sign).length >= 5);
  let quoted = false;
  for (let i = text.startsWith("\ufeff") ? 1 : 0; i < text.length; i++) {
    const row = rows.at(-1), sign = text[i];
    if (quoted && sign === '"' && text[i + 1] === '"') { row[row.length - 1] += '"'; i++; }
    else if (sign === '"') quoted = !quoted;
    else if (sign === delimiter && !quoted) row.push("");
    else if (sign === "\n" && !quoted) rows.push([""]);
    else if (sign !== "\r" || quoted) row[row.length - 1] += sign;
  }
  return rows.filter(row => row.length > 1 && row.some(text => text))
    .map(row => row.map(text => /^'+[=+\-@\t\r]./.test(text) && isNaN(Number(text.replace(/^'+/, ""))) ? text.slice(1) : text));
}
function load(text) {
  const [head = [], ...below] = parse(text);
  const rows = below.filter(row => row.join() !== head.join());  // tables may have been joined
  const lower = head.map(name => name.trim().toLowerCase()), column = name => lower.indexOf(name);
  if (columns.slice(0, 5).some(name => column(name) < 0)) return warn("This file is no verdicts.csv.");
  let unknown = 0, unread = 0, changed = 0;
  for (const row of rows) {
    const text = name => row[column(name)] ?? "";  // a row may be cut
    const seconds = name => Number(text(name).replace(",", ".")).toFixed(3);
    const clip = byIdentity.get(JSON.stringify(
      [text("file"), seconds("start_seconds"), seconds("end_seconds"), text("class_id")]));
    const said = text("verdict").trim().toLowerCase();
    const answer = ["yes", "no", "other", "unsure", "skip"].find(word => [word, word[0]].includes(said));
    if (clip && answer && answer !== "skip") {
      const before = verdicts.get(clip.index), species = text("species");
      changed += Boolean(before) && (before.answer !== answer || before.species !== species);
      verdicts.set(clip.index, {answer, species});
    } else if (answer !== "skip") {
      unknown += !clip;
      unread += Boolean(clip && said);
    }
  }
  const told = [unknown && `${unknown} of ${rows.length} verdicts are about other clips than those on this page.`,
    unread && `${unread} rows say something else than yes, no, other, unsure or skip.`,
    changed && `${changed} verdicts differ from those that were here before: those of the file count now.`].filter(Boolean);
  if (told.length) warn(told.join(" "));
  keep(); filter();
}

// precision of the predictions, from those that were drawn by band
const isChosen = band => 2 * band.answered < band.last;  // as bird_tf.labels.verdicts.chosen_bands
function share(bands) {  // as bird_tf.scores.stratified.share
  bands = bands.filter(band => band.size);
  if (!bands.length || bands.some(band => !band.judged || isChosen(band))) return null;
  const z = 1.959964, total = bands.reduce((sum, band) => sum + band.size, 0);
  let estimate = 0, smoothed = 0, variance = 0;
  for (const {size, judged, positives} of bands) {
    const weight = size / total, probability = (positives + 0.5) / (judged + 1);
    estimate += weight * positives / judged;
    smoothed += weight * probability;
    variance += weight ** 2 * Math.max(0, 1 - judged / size) * probability * (1 - probability) / judged;
  }
  if (!variance) return {estimate, lowest: estimate, highest: estimate};
  const count = smoothed * (1 - smoothed) / variance, scale = 1 + z ** 2 / count;
  const centre = (estimate + z ** 2 / (2 * count)) / scale;
  const half = z / scale * Math.sqrt(estimate * (1 - estimate) / count + z ** 2 / (4 * count ** 2));
  return {estimate, lowest: Math.max(0, centre - half), highest: Math.min(1, centre + half)};
}
function estimate() {
  at("estimates").hidden = !page.sampled;
  if (!page.sampled) return;
  const species = at("by-species").value;
  const bands = page.edges.map((lowest, band) => ({
    lowest, judged: 0, positives: 0, answered: 0, last: 0, size: bandSize(band, species)}));
  for (const [index, {answer}] of verdicts) {
    const clip = clips[index], band = bands[clip.band];
    if (species && clip.classId !== species) continue;
    band.answered++;
    band.last = Math.max(band.last, species ? clip.classTurn : clip.turn);
    if (answer === "unsure") continue;
    band.judged++;
    band.positives += answer === "yes";
  }
  at("estimates").querySelector("tbody").replaceChildren(...bands.map((band, i) => {
    const found = share(bands.slice(i)), row = document.createElement("tr");
    const cells = [band.lowest, `${band.judged} of ${band.size}`, band.positives,
      found ? found.estimate.toFixed(2) : "–", found ? `${found.lowest.toFixed(2)}–${found.highest.toFixed(2)}` : "–"];
    for (const text of cells) row.insertCell().textContent = text;
    const range = row.insertCell().appendChild(document.createElement("div"));
    range.className = "range";
    if (found) Object.assign(range.appendChild(document.createElement("i")).style,
      {left: 100 * found.lowest + "%", right: 100 * (1 - found.highest) + "%"});
    return band.size ? row : null;
  }).filter(Boolean).reverse());
  const sum = bands.reduce((total, band) => total + band.size, 0);
  at("basis").textContent = `Of ${sum} predictions${species ? " of this species" : ""}; judged and right are of the band ` +
    "that begins there, precision is of all from there up. Unsure counts neither way." +
    (bands.some(isChosen) ? " Where more clips were passed over than judged, they are no random sample: precision is unknown." : "");
}

// the list and its filters
const orders = {
  "as listed": null,
  "most doubtful first": (a, b) => Math.abs(a.score - 0.5) - Math.abs(b.score - 0.5),
  "highest first": (a, b) => b.score - a.score,
  "lowest first": (a, b) => a.score - b.score,
  "by recording and time": (a, b) => a.file < b.file ? -1 : a.file > b.file ? 1 : a.start - b.start,
};
function fill(id, pairs, all) {
  const options = [...(all ? [["", all]] : []), ...pairs];
  at(id).replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  at(id).onchange = filter;
  if (all && pairs.length < 2) at(id).parentNode.hidden = true;
}
function prepare() {
  const unique = pairs => [...new Map(pairs)].sort((a, b) => String(a[1]).localeCompare(String(b[1])));
  fill("by-species", unique(clips.map(clip => [clip.classId, clip.name])), "all");
  const bands = [...new Set(clips.map(clip => clip.band))].sort((a, b) => b - a);
  fill("by-band", bands.map(band => [band, `${page.edges[band]} to ${page.edges[band + 1] ?? 1}`]), "all");
  fill("by-site", unique(clips.filter(clip => clip.site).map(clip => [clip.site, clip.site])), "all");
  fill("by-verdict", [["open", "to judge"], ["yes", "yes"], ["no", "none"], ["other", "other species"],
    ["unsure", "unsure"]], "all");
  // in another order, what is judged first would be no sample
  if (page.score !== "probability") delete orders["most doubtful first"];
  fill("order", Object.keys(orders).slice(0, page.sampled ? 1 : undefined).map(name => [name, name]));
  at("order").parentNode.hidden = page.sampled;
  at("known").replaceChildren(...page.species.map(([id, name]) => {
    const option = document.createElement("option");
    option.value = id; option.label = name;
    return option;
  }));
}
function filter() {
  const [species, band, site, verdict] = ["by-species", "by-band", "by-site", "by-verdict"].map(id => at(id).value);
  shown = clips.filter(clip => (!species || clip.classId === species) && (!band || clip.band === Number(band)) &&
    (!site || clip.site === site) &&
    (!verdict || (verdicts.get(clip.index)?.answer ?? "open") === verdict));
  const order = orders[at("order").value];
  if (order) shown.sort(order);
  at("cards").replaceChildren();
  grow();
  if (!shown.includes(current)) show(shown.find(clip => !verdicts.has(clip.index)) ?? shown[0] ?? null);
  refresh();
}
const cardOf = clip => at("cards").querySelector(`[data-index="${clip?.index}"]`);
function grow() {  // more cards, as far as one has scrolled
  const first = at("cards").childElementCount;
  for (const clip of shown.slice(first, first + 60)) {
    const card = document.createElement("button"), image = new Image();
    card.className = "card"; card.dataset.index = clip.index;
    image.loading = "lazy"; image.alt = ""; image.src = `${page.folder}/${clip.stem}${page.picture}`;
    card.append(image, document.createElement("span"), document.createElement("span"));
    card.onclick = () => { show(clip); play(); };
    at("cards").append(card);
    mark(clip);
  }
}
const observer = new IntersectionObserver(entries => {
  if (!entries.at(-1).isIntersecting || at("cards").childElementCount === shown.length) return;
  grow();
  observer.unobserve(at("more"));  // observed anew, it is told again if the end is still in sight
  observer.observe(at("more"));
}, {rootMargin: "400px"});
observer.observe(at("more"));
function answerText(clip) {
  const verdict = verdicts.get(clip.index);
  if (!verdict) return "";
  return verdict.answer === "other" ? `other: ${verdict.species || "unknown"}` : verdict.answer === "no" ? "none" : verdict.answer;
}
function mark(clip) {
  const card = cardOf(clip);
  if (!card) return;
  const [title, state] = card.querySelectorAll("span"), answer = answerText(clip);
  title.textContent = clip.name;
  state.textContent = `${clip.score.toFixed(2)} ${answer && "· " + answer}`;
  state.className = verdicts.get(clip.index)?.answer ?? "";
  card.setAttribute("aria-label", `${clip.name}, ${page.score} ${clip.score.toFixed(2)}${answer && ", " + answer}`);
  card.setAttribute("aria-current", clip === current);
}

// the clip on the stage
const sound = at("sound");
function show(clip) {
  const before = current;
  current = clip;
  sound.pause();
  at("picture").hidden = !clip;
  at("answers").querySelectorAll("[data-answer]").forEach(button => { button.disabled = !clip; });
  if (before) mark(before);
  at("name").textContent = clip ? clip.name : "No clip fits these filters";
  at("facts").textContent = "";
  if (!clip) return;
  const path = `${page.folder}/${clip.stem}`, length = clip.to - clip.from;
  at("spectrogram").src = path + page.picture;
  sound.src = path + page.sound;
  at("before").style.width = 100 * (clip.start - clip.from) / length + "%";
  at("after").style.width = 100 * (clip.to - clip.end) / length + "%";
  at("facts").textContent = [`${page.score} ${clip.score.toFixed(3)}`, clip.file, `${clip.start}–${clip.end} s`, clip.clock,
    clip.site, answerText(clip)].filter(Boolean).join(" · ");
  for (const button of document.querySelectorAll("[data-answer]"))
    button.setAttribute("aria-pressed", verdicts.get(clip.index)?.answer === button.dataset.answer);
  mark(clip);
  if (besides.matches) cardOf(clip)?.scrollIntoView({block: "nearest"});
}
function play() { if (current) { sound.currentTime = 0; sound.play().catch(() => {}); } }
function toggle() { if (sound.paused) play(); else sound.pause(); }
(function follow() {
  at("head").style.left = sound.duration ? 100 * sound.currentTime / sound.duration + "%" : "-2px";
  requestAnimationFrame(follow);
})();
function refresh() {
  const judged = verdicts.size;
  at("progress").textContent = `${judged} of ${clips.length} judged`;
  at("count").textContent = `${shown.length} clips`;
  estimate();
}
function move(step) {
  const next = shown[shown.indexOf(current) + step];
  if (!next) return;
  while (!cardOf(next) && at("cards").childElementCount < shown.length) grow();
  show(next);
  if (at("autoplay").checked) play();
}
function set(index, verdict) {
  if (verdict) verdicts.set(index, verdict); else verdicts.delete(index);
  keep(); mark(clips[index]); refresh();
}
function judge(answer, species = "") {
  if (!current) return;
  changes.push([current.index, verdicts.get(current.index)]);
  set(current.index, {answer, species});
  const later = shown.slice(shown.indexOf(current) + 1), next = later.find(clip => !verdicts.has(clip.index));
  if (next) move(shown.indexOf(next) - shown.indexOf(current)); else show(current);
}
function undo() {
  if (!changes.length) return;
  const [index, verdict] = changes.pop();
  set(index, verdict);
  if (!shown.includes(clips[index])) filter();
  show(clips[index]);
}
function name() {
  if (!current) return;
  sound.pause();
  at("heard").value = verdicts.get(current.index)?.species ?? "";
  tell("");
  at("naming").showModal();
}
let told = "";  // a name that is none of the list, and that the person has been told of
function tell(name) {
  told = name;
  at("unlisted").textContent = name && `“${name}” is none of the list. OK again keeps it as a new species.`;
}
function listed(text) {  // the class id of a name or id
  const same = other => other.toLowerCase() === text.toLowerCase();
  return (page.species.find(([id]) => same(id)) ?? page.species.find(([, name]) => same(name)))?.[0];
}
// at once, and without the focus: the next keys are already for the next clip
at("naming").querySelector("form").onsubmit = event => {
  event.preventDefault();
  const heard = at("heard").value.trim(), keeps = event.submitter?.value === "ok";
  if (keeps && heard && !listed(heard) && heard !== told) return tell(heard);
  at("naming").close();
  at("heard").blur();
  const species = listed(heard) ?? heard, isPredicted = species === current?.classId;
  if (keeps) judge(isPredicted ? "yes" : "other", isPredicted ? "" : species);
};

// mouse, touch and keys do the same
const actions = {y: () => judge("yes"), n: () => judge("no"), o: name, u: () => judge("unsure"), s: () => move(1),
  ArrowRight: () => move(1), ArrowLeft: () => move(-1), " ": toggle, z: undo, w: save};
addEventListener("keydown", event => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, target = event.target;
  if (key === "Escape" && target.matches("select")) return target.blur();  // the keys are for the clip again
  if (event.ctrlKey || event.metaKey || event.altKey || at("naming").open || !actions[key]) return;
  if (target.matches("select, input:not([type=checkbox]), audio, summary") || (key === " " && target.matches("input, .card"))) return;
  event.preventDefault();
  actions[key]();
});
for (const button of document.querySelectorAll("[data-answer]"))
  button.onclick = () => button.dataset.answer === "other" ? name() : judge(button.dataset.answer);
for (const button of document.querySelectorAll("[data-action]"))
  button.onclick = {previous: () => move(-1), next: () => move(1), play: toggle, undo}[button.dataset.action];
at("picture").onclick = toggle;
at("save").onclick = save;
at("load").onchange = async event => { for (const file of event.target.files) load(await file.text()); event.target.value = ""; };

recall();
prepare();
filter();

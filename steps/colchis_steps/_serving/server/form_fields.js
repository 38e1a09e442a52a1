// A field for each input: how a person writes what the signature wants. A field has {name, element, value(), file()}.
// Names and texts come from the model, so they enter the page as text only.

const TIMES = { timestamp: "datetime-local", date: "date", time: "time" };
const WIDEST = 4096; // values of a list that are written out

function made(tag, properties = {}, ...children) {
  const { data, ...rest } = properties, element = Object.assign(document.createElement(tag), rest);
  for (const [key, value] of Object.entries(data ?? {})) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const isText = (input) => input.datatype === "BYTES";
const isWhole = (input) => /^U?INT/.test(input.datatype);
const times = (lengths) => lengths.reduce((product, length) => product * length, 1);
const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
const lengthsOf = (lengths) => lengths.map((length) => (length < 0 ? "any number" : length)).join(" × ");

// The values, one after the other, in lists of these lengths.
function nested(values, lengths) {
  for (const length of [...lengths].slice(1).reverse()) {
    const rows = [];
    for (let at = 0; at < values.length; at += length) rows.push(values.slice(at, at + length));
    values = rows;
  }
  return lengths.length ? values : values[0];
}

// What stands in a field at first: the middle of what the training data had, else nought.
function typical(input) {
  const { minimum, maximum } = input.parameters;
  if (minimum === undefined) return 0;
  const middle = minimum / 2 + maximum / 2;
  return isWhole(input) ? Math.round(middle) : Number(middle.toPrecision(3));
}

// Whether numbers are the pixels of a picture: rows, columns, and one grey value or three colours.
function isPicture(input, lengths) {
  const [height, width, channels = 1] = lengths, sides = [height, width].every((side) => side >= 4 && side <= 1024);
  if (isText(input) || input.datatype === "BOOL" || ![2, 3].includes(lengths.length) || !sides) return false;
  return lengths.length === 3 ? [1, 3].includes(channels) : height === width;
}

function fieldOf(input, lengths, number) {
  const { parameters } = input, kind = (parameters.type ?? "").replace(/[\d[].*$/, ""), media = parameters.media ?? "";
  const one = lengths.every((length) => length === 1) && !parameters.ragged;
  let field;
  if (one && input.datatype === "BOOL") field = choice(input);
  else if (one && (media || kind === "binary" || kind === "large_binary")) field = encoded(input, media);
  else if (one && TIMES[kind]) field = moment(TIMES[kind]);
  else if (one) field = isText(input) ? words() : figure(input);
  else if (isPicture(input, lengths)) field = pixels(input, lengths);
  else field = list(input, lengths);
  return framed(input, field, one ? lengths : [], `input-${number}`);
}

// The field with its name, what it takes, and where it may be empty a box for that.
function framed(input, field, around, id) {
  const { nullable } = input.parameters, entry = field.entry, empty = made("input", { type: "checkbox" });
  entry.id = id;
  entry.name = input.name;
  entry.setAttribute("aria-describedby", `${id}-kind`);
  const about = made("p", { className: "kind", id: `${id}-kind` }, made("span", { textContent: field.about }));
  if (nullable) about.append(made("label", {}, empty, " empty"));
  const disable = () => field.entries.forEach((each) => { each.disabled = empty.checked; });
  empty.addEventListener("change", disable);
  const element = made("div", { className: field.wide ? "field wide" : "field" },
    made("label", { htmlFor: id, textContent: input.name }), field.element, about);
  return {
    input, element,
    value() {
      if (empty.checked) return null;
      let value = field.value();
      if (value === undefined && nullable) return null;
      if (value === undefined) throw new Error(`${input.name} is empty; ${field.wanted}`);
      for (const _ of around) value = [value];
      return value;
    },
    file: () => (empty.checked ? "" : field.file?.() ?? ""),
  };
}

function simple(entry, about, value, wanted, wide = false) {
  entry.classList.add("entry");
  return { entry, entries: [entry], element: entry, about, value, wanted, wide };
}

function choice() {
  const entry = made("select", {}, new Option("no", "false"), new Option("yes", "true"));
  return simple(entry, "yes or no", () => entry.value === "true", "choose one");
}

function words() {
  const entry = made("textarea", { rows: 1, className: "text", spellcheck: false });
  return simple(entry, "text", () => entry.value, "write some");
}

function figure(input) {
  const { minimum, maximum } = input.parameters, whole = isWhole(input);
  const entry = made("input", { type: "number", step: whole ? 1 : "any", value: typical(input) });
  const range = minimum === undefined ? "" : `, ${shown(minimum)} to ${shown(maximum)} in training`;
  if (input.datatype.startsWith("U")) entry.min = 0;
  const value = () => (entry.value === "" ? undefined : whole ? exact(entry.value) : Number(entry.value));
  return simple(entry, `${whole ? "whole number" : "number"}${range}`, value, "give a number");
}

// Whole numbers beyond 2^53 stay as they are written: `written` puts them into JSON.
function exact(text) {
  return Number.isSafeInteger(Number(text)) || !/^-?\d+$/.test(text) ? Number(text) : BigInt(text);
}

function moment(type) {
  const now = new Date().toISOString(), parts = { "datetime-local": now.slice(0, 16), date: now.slice(0, 10), time: now.slice(11, 16) };
  const entry = made("input", { type, step: type === "date" ? "" : 1, value: parts[type] });
  const about = { "datetime-local": "date and time, UTC", date: "date", time: "time of day" }[type];
  return simple(entry, about, () => entry.value || undefined, "choose one");
}

function encoded(input, media) {
  const picture = media.startsWith("image/"), entry = made("input", { type: "file" }), canvas = made("canvas", { hidden: true });
  if (media) entry.accept = media;
  let bytes;
  entry.addEventListener("change", async () => {
    const file = entry.files[0], from = new FileReader();
    bytes = undefined;
    canvas.hidden = true;
    if (!file) return;
    await new Promise((done, failed) => { from.onload = done; from.onerror = failed; from.readAsDataURL(file); });
    bytes = from.result.slice(from.result.indexOf(",") + 1);
    if (picture) try { draw(canvas, await createImageBitmap(file), 160); canvas.hidden = false; } catch { /* the server says what is wrong */ }
    entry.dispatchEvent(new Event("input", { bubbles: true }));
  });
  return {
    entry, entries: [entry], element: made("div", { className: "picture" }, entry, canvas), wide: true,
    about: picture ? `picture, ${media === "image/*" ? "JPEG, PNG or the like" : media}` : `file${media ? `, ${media}` : ""}`,
    wanted: "choose a file", value: () => (bytes === undefined ? undefined : { b64: bytes }),
    file: () => entry.files[0]?.name ?? (picture ? "picture.jpg" : "file"),
  };
}

function draw(canvas, bitmap, side) {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
}

// Numbers as a picture: a file, its middle cut out and made as small as the model wants it.
function pixels(input, lengths) {
  const [height, width, channels = 1] = lengths, whole = isWhole(input);
  const { minimum = 0, maximum = whole ? 255 : 1 } = input.parameters;
  const entry = made("input", { type: "file", accept: "image/*" });
  const canvas = made("canvas", { width, height, role: "img", data: { "aria-label": "what the model sees" } });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  canvas.style.width = `min(100%, ${Math.min(160, 160 * width / height)}px)`;
  pen.fillRect(0, 0, width, height);
  entry.addEventListener("change", async () => {
    try {
      const bitmap = await createImageBitmap(entry.files[0]), scale = Math.max(width / bitmap.width, height / bitmap.height);
      pen.fillRect(0, 0, width, height);
      pen.drawImage(bitmap, (width - bitmap.width * scale) / 2, (height - bitmap.height * scale) / 2, bitmap.width * scale, bitmap.height * scale);
    } catch { trouble(`${entry.files[0]?.name ?? "The file"} cannot be read as a picture; choose a PNG, JPEG or WebP.`); }
    if (channels === 1) pen.putImageData(greyed(pen.getImageData(0, 0, width, height)), 0, 0);
    entry.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const value = () => {
    const { data } = pen.getImageData(0, 0, width, height), values = [];
    for (let at = 0; at < data.length; at += 4)
      for (let channel = 0; channel < channels; channel += 1) {
        const level = minimum + ((maximum - minimum) * data[at + channel]) / 255;
        values.push(whole ? Math.round(level) : Number(level.toPrecision(4)));
      }
    return nested(values, lengths);
  };
  const about = `${channels === 3 ? "coloured" : "grey"} picture, made ${width} × ${height} pixels of ${shown(minimum)} to ${shown(maximum)}; black without a file`;
  return { entry, entries: [entry], element: made("div", { className: "picture" }, canvas, entry), wide: true, about, value, wanted: "choose a file" };
}

function greyed(image) {
  for (let at = 0; at < image.data.length; at += 4)
    image.data.fill(0.299 * image.data[at] + 0.587 * image.data[at + 1] + 0.114 * image.data[at + 2], at, at + 3);
  return image;
}

// A list of values, as JSON or as they come: numbers between commas or spaces, texts a line each.
function list(input, lengths) {
  const text = isText(input), ragged = input.parameters.ragged, free = ragged || lengths.some((length) => length < 0);
  const what = text ? "text" : input.datatype === "BOOL" ? "truth value" : "number", count = times(lengths);
  const fill = text ? "" : input.datatype === "BOOL" ? false : typical(input), usual = Array(free ? 1 : count);
  usual.fill(fill);
  const entry = made("textarea", { rows: count > 16 || text ? 4 : 2, spellcheck: false });
  if (count <= WIDEST && !text) entry.value = usual.join(", ");
  else if (!free) entry.placeholder = text ? "one a line" : `${counted(count, "value")}; ${fill} each while this is empty`;
  const about = ragged ? `list of ${lengths[0] < 0 ? `${what}s` : `up to ${counted(lengths[0], what)}`}`
    : free ? `list of ${what}s, ${lengthsOf(lengths)}` : lengths.length > 1 ? `${counted(count, what)}, ${lengthsOf(lengths)}` : counted(count, what);
  const separated = text ? ", one a line" : lengths.length > 1 && free ? ", as JSON" : ", between commas";
  function value() {
    const written = entry.value.trim();
    if (!written && !free && count > WIDEST) return nested(usual, lengths);
    if (!written && ragged) return [];
    if (!written && !text) return undefined;
    let found = written.startsWith("[") ? parsed(written) : text ? entry.value.replace(/\n$/, "").split("\n") : written.split(/[\s,;]+/).filter(Boolean).map(parsed);
    if (found.some(Array.isArray)) return found;
    if (!free && found.length !== count) throw new Error(`${input.name} has ${counted(found.length, what)}; the model takes ${count}`);
    return free ? found : nested(found, lengths);
  }
  function parsed(word) {
    try { return JSON.parse(word); } catch { throw new Error(`${input.name} holds ${word.slice(0, 40)}, which is no ${what}`); }
  }
  return simple(entry, about + separated, value, `give ${what}s`, true);
}

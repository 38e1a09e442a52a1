// The answer as what it is: classes with bars, numbers with their names, lists cut short, texts.

const FEW = 8, MOST = 20; // values of a list, and classes, that are shown

function shown(number) {
  return Number.isInteger(number) ? String(number) : String(Number(number.toPrecision(6)));
}
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function answered(named, about) {
  const { classes, targets, task } = about, left = new Map(Object.entries(named)), parts = [];
  const shares = named.probability;
  if (Array.isArray(shares) && shares.length > 1 && shares.every(Number.isFinite)) {
    parts.push(...bars(shares, classes, task, named));
    for (const name of ["probability", "class", "label", "labels"]) left.delete(name);
  }
  const values = [named.value].flat();
  if ("value" in named && targets.length && values.length === targets.length) {
    parts.push(listed(targets.map((target, i) => [target, values[i]])));
    left.delete("value");
  }
  if (left.size) parts.push(listed([...left]));
  return parts;
}

function bars(shares, classes, task, named) {
  const nameOf = (i) => classes[i] ?? `${i}`, multi = task === "multilabel";
  const order = shares.map((_, i) => i).sort((a, b) => shares[b] - shares[a]), best = order[0];
  const has = order.filter((i) => shares[i] >= 0.5);
  const heading = multi ? has.map(nameOf).join(", ") || "none of the labels" : named.label ?? nameOf(best);
  const note = multi ? "labels with a probability of half or more" : `with a probability of ${percent(shares[best])}`;
  const drawn = shares.length > MOST ? order.slice(0, MOST) : shares.map((_, i) => i);
  const items = drawn.map((i) => {
    const fill = made("span", { className: "fill" });
    fill.style.transform = `scaleX(${Math.min(1, Math.max(0, shares[i]))})`;
    return made("li", { className: (multi ? has.includes(i) : i === best) ? "top" : "" },
      made("span", { className: "name", textContent: nameOf(i), title: nameOf(i) }),
      made("span", { className: "track" }, fill), made("span", { className: "percent", textContent: percent(shares[i]) }));
  });
  const rest = shares.length - drawn.length;
  return [
    made("output", { className: "best", textContent: heading }), made("span", { className: "note", textContent: note }),
    made("ol", { className: "bars", data: { "aria-label": "Probability of each class" } }, ...items),
    ...(rest ? [made("p", { className: "note", textContent: `and ${rest} less likely ones` })] : []),
  ];
}

function listed(pairs) {
  return made("dl", {}, ...pairs.map(([name, value]) => made("div", {}, made("dt", { textContent: name }), made("dd", {}, ...valued(value)))));
}

function valued(value) {
  if (Array.isArray(value) && value.length === 1 && !Array.isArray(value[0])) return valued(value[0]);
  if (typeof value === "number") return [made("span", { className: "number", textContent: shown(value) })];
  if (typeof value === "boolean") return [made("span", { className: "number", textContent: value ? "yes" : "no" })];
  if (value === null) return [made("span", { className: "note", textContent: "no number (NaN)" })];
  if (typeof value === "string") return value === "" ? [made("span", { className: "note", textContent: "an empty text" })] : [made("span", { className: "quoted", textContent: value })];
  if (!Array.isArray(value)) return [made("span", { className: "note", textContent: counted(Math.floor((value.b64?.length ?? 0) * 0.75), "byte") })];
  const lengths = [], flat = value.flat(Infinity);
  for (let at = value; Array.isArray(at); at = at[0]) lengths.push(at.length);
  const word = (each) => (typeof each === "number" ? shown(each) : typeof each === "string" ? `“${each}”` : each?.b64 ? "bytes" : String(each));
  const kind = flat.every((each) => typeof each === "string") ? "text" : flat.every((each) => typeof each === "number") ? "number" : "value";
  const size = lengths.length > 1 ? `${lengths.join(" × ")} ${kind}s` : counted(flat.length, kind);
  const few = flat.slice(0, FEW).map(word).join(", ") + (flat.length > FEW ? ", …" : "");
  const numbers = flat.filter(Number.isFinite), least = numbers.reduce((a, b) => Math.min(a, b), Infinity), most = numbers.reduce((a, b) => Math.max(a, b), -Infinity);
  const range = kind === "number" && numbers.length > FEW ? `, ${shown(least)} to ${shown(most)}` : "";
  const found = [made("div", { className: "few", textContent: few }), made("span", { className: "note", textContent: size + range })];
  if (flat.length > FEW) found.push(made("details", {}, made("summary", { textContent: "all of them" }), made("pre", { tabIndex: 0, textContent: JSON.stringify(value) })));
  return found;
}

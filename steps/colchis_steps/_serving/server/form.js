// The page: the signature's fields, asking, the answer, and the request for programs.

const $ = (id) => document.getElementById(id);
const name = decodeURIComponent(location.pathname.split("/")[2]);
const LANGUAGES = ["curl", "Python", "gRPC"];
let model = null; // {rows, fields, inputs, outputs, classes, targets, task}
let language = "curl";

const path = () => `/v1/models/${encodeURIComponent(name)}${$("version").value ? `/versions/${$("version").value}` : ""}:predict`;
const bodyOf = (values) => written(model.rows ? { instances: [Object.fromEntries(values)] } : { inputs: Object.fromEntries(values) });

function trouble(text) { $("trouble").textContent = text; }
function told(error) {
  if (error instanceof TypeError) return "The server does not answer. Start it with: colchis models start";
  return error instanceof SyntaxError ? "No server answers behind the gateway just now; try again in a moment." : error.message;
}

async function ask() {
  $("ask").disabled = true;
  const began = performance.now();
  try {
    const body = bodyOf(model.fields.map((field) => [field.input.name, field.value()]));
    const response = await fetch(path(), { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const found = await response.json();
    if (!response.ok) throw new Error(found.error);
    const answer = model.rows ? found.predictions[0] : found.outputs, only = model.outputs[0].name;
    const bare = model.outputs.length === 1 && !(answer !== null && typeof answer === "object" && Object.hasOwn(answer, only));
    $("answer").replaceChildren(...answered(bare ? { [only]: answer } : answer, model));
    const version = response.headers.get("Colchis-Version");
    $("who").textContent = `${version ? `answered by version ${version} ` : ""}in ${Math.round(performance.now() - began)} ms`;
    trouble("");
  } catch (error) {
    trouble(told(error));
    $("answer").replaceChildren();
    $("who").textContent = "";
  } finally {
    $("ask").disabled = false;
  }
}

// What is in the form, or where that is not whole yet the sentence that says so.
function sample() {
  let text;
  try {
    const values = model.fields.map((field) => (field.file() ? [field.input.name, null, field.file()] : [field.input.name, field.value(), ""]));
    const url = location.origin + path();
    if (language === "curl") text = curl(url, values, model.rows);
    else if (language === "Python") text = python(url, values, model.rows);
    else text = grpc(name, $("version").value, values, model.rows, model.inputs);
  } catch (error) {
    text = `${error.message}.`;
  }
  $("code").textContent = text;
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("code").textContent);
  } catch { // on a page without TLS
    getSelection().selectAllChildren($("code"));
    document.execCommand("copy");
  }
  $("copy").textContent = "Copied";
  setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
}

function choose(each) {
  language = each;
  for (const button of $("languages").children) button.setAttribute("aria-pressed", button.textContent === each);
  sample();
}

async function got(address) {
  const response = await fetch(address), found = await response.json();
  if (!response.ok) throw new Error(found.error);
  return found;
}

function shape(found) {
  const inputs = found.inputs.map((input) => ({ ...input, parameters: input.parameters ?? {} }));
  const made = new Set(inputs.flatMap(({ name: of, parameters: p }) => [...(p.nullable ? [`${of}__valid`] : []), ...(p.ragged ? [`${of}__mask`] : [])]));
  const own = inputs.filter((input) => !made.has(input.name)), { classes = [], targets = [], task = "" } = found.parameters;
  const rows = [...own, ...found.outputs].every(({ shape: [first] }) => first === -1 || first === 1);
  return { rows, inputs: own, outputs: found.outputs, classes, targets, task, fields: own.map((input, i) => fieldOf(input, rows ? input.shape.slice(1) : input.shape, i)) };
}

(async () => {
  try {
    const found = await got(`/v2/models/${encodeURIComponent(name)}`);
    model = shape(found);
    document.title = `Ask ${found.name}`;
    $("name").textContent = found.name;
    const what = { classification: "", none: "", "": "" }[model.task] ?? ` · ${model.task}`;
    $("model").textContent = `version ${found.parameters.version} · ${found.platform.startsWith("onnx") ? "ONNX" : "SavedModel"}${what}`;
    $("fields").replaceChildren(...model.fields.map((field) => field.element));
    if (found.versions.length > 1) {
      $("version").append(new Option("the version that the server chooses", ""), ...found.versions.map((each) => new Option(`version ${each}`, each)));
      $("version").hidden = false;
    }
    for (const each of LANGUAGES) {
      const button = made("button", { type: "button", textContent: each });
      button.addEventListener("click", () => choose(each));
      if (each !== "gRPC" || grpc(name, "", [], model.rows, model.inputs)) $("languages").append(button);
    }
    $("board").hidden = !new URLSearchParams(location.search).has("form");
    $("draw").href = location.pathname;
    $("form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
    $("form").addEventListener("keydown", (event) => { if (event.key === "Enter" && event.ctrlKey) ask(); });
    for (const event of ["input", "change"]) $("form").addEventListener(event, sample);
    $("copy").addEventListener("click", copy);
    choose(language);
    $("samples").hidden = false;
    $("ask").disabled = false;
  } catch (error) {
    $("model").textContent = "";
    trouble(told(error));
  }
})();

// The request of the form for programs: each sample is whole and works as it is copied.

const LARGE = 60_000; // characters that a shell takes as one argument without doubt

// JSON of a value; whole numbers beyond 2^53 are written in full. `word` may write a value in another way.
function written(value, word = () => undefined) {
  const own = word(value);
  if (own !== undefined) return own;
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map((each) => written(each, word)).join(", ")}]`;
  if (value !== null && typeof value === "object") return `{${Object.entries(value).map(([key, each]) => `${written(key, word)}: ${written(each, word)}`).join(", ")}}`;
  return JSON.stringify(value);
}

const inShell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// The inputs a line each, between what stands around them.
function lines(values, rows, word, indent) {
  const found = values.map(([name, value]) => `${indent}  ${written(name, word)}: ${written(value, word)}`).join(",\n");
  const [open, close] = rows ? ['{"instances": [{', "}]}"] : ['{"inputs": {', "}}"];
  return `${open}\n${found}\n${indent}${close}`;
}

function curl(url, values, rows) {
  const files = values.filter(([, , file]) => file), head = `curl ${inShell(url)} -H 'Content-Type: application/json'`;
  const marked = values.map(([name, value, file]) => [name, file ? { b64: FILE } : value]);
  if (!files.length) {
    const body = lines(values, rows, undefined, "");
    return body.length > LARGE ? `${head} -d @- <<'JSON'\n${body}\nJSON` : `${head} \\\n  -d ${inShell(body)}`;
  }
  const format = (text) => text.replaceAll("\\", "\\\\").replaceAll("%", "%%"); // printf's
  const body = lines(marked, rows, undefined, "").split(JSON.stringify(FILE)).map(format).join('"%s"');
  const contents = files.map(([, , file]) => `"$(base64 < ${inShell(file)} | tr -d '\\n')"`).join(" ");
  return `printf ${inShell(body)} ${contents} |\n  ${head} -d @-`;
}

const FILE = "\u0000file\u0000"; // stands for what a file holds

const PYTHON = new Map([[null, "None"], [true, "True"], [false, "False"]]);
const inPython = (value) => PYTHON.get(value);

function python(url, values, rows) {
  const word = (value) => (value?.file !== undefined ? `base64.b64encode(open(${JSON.stringify(value.file)}, "rb").read()).decode()` : inPython(value));
  const marked = values.map(([name, value, file]) => [name, file ? { b64: { file } } : value]);
  const imports = values.some(([, , file]) => file) ? "import base64\nimport json" : "import json";
  return `${imports}\nimport urllib.request\n\nbody = ${lines(marked, rows, word, "")}
headers = {"Content-Type": "application/json"}
request = urllib.request.Request(${JSON.stringify(url)}, json.dumps(body).encode(), headers)
with urllib.request.urlopen(request) as answer:
    print(json.load(answer))`;
}

const NUMPY = { BOOL: "bool", BYTES: "object", FP16: "float16", FP32: "float32", FP64: "float64" };

// Only for inputs that are the same in tensors as in JSON: no dates, lists of any length, nulls or files.
function grpc(model, version, values, rows, inputs) {
  const odd = ({ parameters: p }) => p.nullable || p.ragged || p.media || /^(timestamp|date|time|binary)/.test(p.type ?? "");
  if (inputs.some(odd)) return "";
  const tensors = values.map(([name, value], i) => {
    const { datatype } = inputs[i], dtype = NUMPY[datatype] ?? datatype.toLowerCase();
    return `    (${JSON.stringify(name)}, ${JSON.stringify(datatype)}, np.array(${written(rows ? [value] : value, inPython)}, ${JSON.stringify(dtype)})),`;
  });
  return `# pip install 'tritonclient[grpc]'; the server serves gRPC with --grpc-port 8500\nimport numpy as np\nimport tritonclient.grpc as grpc

tensors = []
for name, datatype, array in [\n${tensors.join("\n")}\n]:
    tensors.append(grpc.InferInput(name, array.shape, datatype))
    tensors[-1].set_data_from_numpy(array)
client = grpc.InferenceServerClient(${JSON.stringify(`${location.hostname}:8500`)})
answer = client.infer(${JSON.stringify(model)}, tensors${version ? `, model_version="${version}"` : ""})
for output in answer.get_response().outputs:
    print(output.name, answer.as_numpy(output.name))`;
}

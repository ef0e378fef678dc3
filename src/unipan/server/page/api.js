// What the server is asked, and how its messages are read.

export class Refused extends Error {
  constructor(status, sentence) { super(sentence); this.status = status; }
}

async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, { ...options, headers: { "X-Unipan": "1", ...options.headers } });
  } catch {
    throw new Refused(0, "unipan serve does not answer; start it again. What you accepted is on the disk.");
  }
  if (answer.ok) return answer;
  let sentence = `the server answered ${answer.status}`;
  try { sentence = (await answer.json()).error || sentence; } catch { /* no JSON: the number has to do */ }
  throw new Refused(answer.status, sentence);
}

const json = (address, content) =>
  ask(address, { method: "POST", body: JSON.stringify(content), headers: { "Content-Type": "application/json" } });

const TYPES = { uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array };

/** A message of messages.py: its header, whose arrays are filled in. */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  for (const [name, { type, shape, offset }] of Object.entries(header.arrays)) {
    header.arrays[name] = {
      height: shape[0], width: shape[1], values: new TYPES[type](buffer, 4 + length + offset, shape[0] * shape[1]),
    };
  }
  return header;
}

export const overview = async () => (await ask("/api/overview")).json();

export async function open(source) {
  if (source.kind === "file") {
    const headers = { "X-Name": encodeURIComponent(source.file.name || "pasted.png"), "Content-Type": "application/octet-stream" };
    return (await ask("/api/scenes", { method: "POST", body: source.file, headers })).json();
  }
  return (await ask(`/api/${source.kind}s/${source.index}`, { method: "POST" })).json();
}

export async function picture(key) {
  const blob = await (await ask(`/api/scenes/${key}/image`)).blob();
  return createImageBitmap(blob);
}

export const maps = async (key, wanted) => unpack(await (await json(`/api/scenes/${key}/maps`, wanted)).arrayBuffer());
export const affinity = async (key, x, y) => unpack(await (await ask(`/api/scenes/${key}/affinity?x=${x}&y=${y}`)).arrayBuffer());
export const accept = async (key, wanted) => (await json(`/api/scenes/${key}/accept`, wanted)).json();
export const download = async (key, wanted) => (await json(`/api/scenes/${key}/download`, wanted)).blob();
export const close = (key) => ask(`/api/scenes/${key}`, { method: "DELETE" }).catch(() => {});

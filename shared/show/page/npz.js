// Reads an .npz, the zip archive of arrays that numpy.savez and numpy.savez_compressed write, and
// returns the weights of a model in it. Nothing here accesses the page; own_weights.js shows them.
"use strict";

const NPZ_LIMIT = 2 ** 28; // bytes in all arrays together
const END_OF_ZIP = 0x06054b50, ZIP_ENTRY = 0x02014b50, ZIP_MEMBER = 0x04034b50; // signatures

// What is wrong with a file: the key of a text, and the values of its {placeholders}.
class Refusal extends Error {
  constructor(key, values = {}) {
    super(`${key} ${JSON.stringify(values)}`);
    Object.assign(this, { key, values });
  }
}

// Returns {name: {type, shape, values}} of the content of an .npz, an ArrayBuffer. The type is NumPy's,
// e.g. "<f4"; values is a Float32Array in C order, or null if the type is another than "<f4".
async function readNpz(buffer) {
  const members = zipMembers(new DataView(buffer)), arrays = {};
  if (members.reduce((sum, { size }) => sum + size, 0) > NPZ_LIMIT)
    throw new Refusal("own-large", { limit: NPZ_LIMIT / 2 ** 20 });
  for (const member of members) {
    const content = await unpacked(buffer, member);
    if (content.length !== member.size || crc32(content) !== member.crc)
      throw new Refusal("own-damaged", { name: member.name });
    arrays[member.name.replace(/\.npy$/, "")] = npyArray(content, member.name);
  }
  return arrays;
}

// ---- the zip archive

// Returns what the directory at the end of an archive says of its members. The sizes before the
// members themselves are not used: numpy.savez_compressed writes them as 64 bits.
function zipMembers(view) {
  const end = endOfZip(view), members = [];
  let at = view.getUint32(end + 16, true);
  for (let n = view.getUint16(end + 10, true); n > 0; n--) {
    if (at + 46 > end || view.getUint32(at, true) !== ZIP_ENTRY) throw new Refusal("own-no-npz");
    const lengths = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    if (at + 46 + lengths[0] > end) throw new Refusal("own-no-npz");
    members.push({
      name: new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, lengths[0])),
      encrypted: view.getUint16(at + 8, true) & 1,
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      at: view.getUint32(at + 42, true),
    });
    at += 46 + lengths[0] + lengths[1] + lengths[2];
  }
  return members;
}

// Returns the place of the last record of an archive, which only the archive's comment follows.
function endOfZip(view) {
  for (let at = view.byteLength - 22; at >= Math.max(0, view.byteLength - 22 - 0xffff); at--)
    if (view.getUint32(at, true) === END_OF_ZIP &&
        at + 22 + view.getUint16(at + 20, true) === view.byteLength) return at;
  throw new Refusal("own-no-npz");
}

// Returns the content of a member, stored or deflated.
async function unpacked(buffer, { name, encrypted, method, packed, at }) {
  const view = new DataView(buffer), damaged = new Refusal("own-damaged", { name });
  if (encrypted || (method !== 0 && method !== 8)) throw new Refusal("own-method", { name, method });
  if (at + 30 > view.byteLength || view.getUint32(at, true) !== ZIP_MEMBER) throw damaged;
  const begin = at + 30 + view.getUint16(at + 26, true) + view.getUint16(at + 28, true);
  if (begin + packed > view.byteLength) throw damaged;
  const content = new Uint8Array(buffer, begin, packed);
  if (method === 0) return content;
  try {
    const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw damaged;
  }
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(content) {
  let crc = 0xffffffff;
  for (let i = 0; i < content.length; i++) crc = CRC_TABLE[(crc ^ content[i]) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

// ---- the .npy array

// Returns the type, the shape and the values of an .npy, a Uint8Array.
function npyArray(content, name) {
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  const other = new Refusal("own-no-npy", { name });
  if (content.length < 12 || view.getUint32(0) !== 0x934e554d || view.getUint16(4) !== 0x5059) throw other;
  const wide = content[6] > 1; // version 1.0 has 16 bits for the length of the header
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true), begin = wide ? 12 : 10;
  if (begin + length > content.length) throw other;
  const header = new TextDecoder().decode(content.subarray(begin, begin + length));
  const [type, fortran, axes] = [/'descr': '([^']*)'/, /'fortran_order': (True|False)/,
    /'shape': \(([\d, ]*)\)/].map((pattern) => pattern.exec(header)?.[1]);
  if (fortran === undefined || axes === undefined) throw other;
  const shape = axes.split(",").filter((axis) => axis.trim()).map(Number);
  if (type !== "<f4") return { type: type ?? "?", shape, values: null };
  const data = content.slice(begin + length); // a copy begins at a multiple of 4 bytes
  if (data.length !== 4 * shape.reduce((product, n) => product * n, 1)) throw other;
  const values = new Float32Array(data.buffer);
  return { type, shape, values: fortran === "True" ? transposed(values, shape) : values };
}

// Returns the values of a matrix that is stored column by column, row by row.
function transposed(values, shape) {
  if (shape.length < 2) return values;
  const [rows, columns] = [shape[0], values.length / shape[0]], out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) out[r * columns + c] = values[c * rows + r];
  return out;
}

// ---- the weights of a model

// Returns {name: Float32Array} of the weights in an .npz, which must be those of a dense network with
// inputDim pixels, two latents and the Bernoulli likelihood, by the names in shared/weights.py. The
// widths of the hidden layers are those that the file has.
function modelWeights(arrays, inputDim) {
  const names = Object.keys(arrays).filter((name) => /^(en|de)coder\//.test(name));
  const shapes = modelShapes(arrays, inputDim);
  const missing = Object.keys(shapes).find((name) => !(name in arrays));
  const found = names.join(", ") || Object.keys(arrays).slice(0, 8).join(", ") || "–";
  if (missing) throw new Refusal("own-missing", { name: missing, found });
  const extra = names.find((name) => !(name in shapes));
  if (extra) throw new Refusal("own-extra", { name: extra, wanted: Object.keys(shapes).join(", ") });
  const weights = {}, written = (shape) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
  for (const [name, shape] of Object.entries(shapes)) {
    const { type, shape: own, values } = arrays[name];
    if (written(own) !== written(shape))
      throw new Refusal("own-shape", { name, found: written(own), wanted: written(shape) });
    if (!values) throw new Refusal("own-type", { name, type });
    if (!values.every(Number.isFinite)) throw new Refusal("own-not-finite", { name });
    weights[name] = values;
  }
  return weights;
}

// Returns the shapes that the weights must have, given the widths of the file's hidden layers.
function modelShapes(arrays, inputDim) {
  const widths = [], shapes = {};
  const dense = (name, from, to) => {
    shapes[`${name}/kernel`] = [from, to];
    shapes[`${name}/bias`] = [to];
    return to;
  };
  const kernel = () => arrays[`encoder/hidden_${widths.length + 1}/kernel`];
  while (kernel()) widths.push(kernel().shape[1] ?? 0);
  if (!widths.length) widths.push("H"); // then the first kernel is missing, which is said
  let width = inputDim;
  widths.forEach((to, n) => { width = dense(`encoder/hidden_${n + 1}`, width, to); });
  for (const name of ["z_mean", "z_log_var"]) dense(`encoder/${name}`, width, 2);
  width = 2;
  widths.reverse().forEach((to, n) => { width = dense(`decoder/hidden_${n + 1}`, width, to); });
  dense("decoder/logits", width, inputDim);
  return shapes;
}

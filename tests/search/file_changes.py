"""Random changes of files: of their bytes, of JSON and CSV values, and of arrays in archives."""

import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np

from shared.run.files import with_step

__all__ = ["changed"]

VALUES = [
    None, True, 0, -1, 1.5, 1e999, float("nan"), 10**30, 2**31, "", "1", "x" * 300, "\n", "\u202e",
    "../..", "$x_{$", "<script>", [], [[]], {}, {"a": {}}, [0] * 50,
]  # fmt: skip
TOKENS = [
    b"", b"\x00", b"\xff\xfe", b"nan", b"inf", b"1e999", b"-", b",", b'"', b"\r\n", b"null", b"[]",
    b"{" * 5000, b"[" * 100_000, b"9" * 5000, b"PK\x03\x04", b"\x93NUMPY", b"\xf0\x9f\x98\x80",
]  # fmt: skip


def changed(content, name, rng):
    """Returns changed content, never the same."""
    kinds = [_bits, _cut, _insert, _token, _foreign]
    kinds += {
        ".json": [_json] * 4,
        ".csv": [_cell] * 4,
        ".npz": [_array] * 4,
        ".keras": [_zip],
    }.get(Path(name).suffix, [])
    kinds += [_zip] * 2 if name.endswith(".npz") else []
    while True:
        result = rng.choice(kinds)(content, rng)
        if result != content:
            return result


def _bits(content, rng):
    result = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 8])):
        result[rng.randrange(len(result))] ^= 1 << rng.randrange(8)
    return bytes(result)


def _cut(content, rng):
    first, last = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:first] + content[last:] if rng.random() < 0.5 else content[:first]


def _insert(content, rng):
    place = rng.randrange(len(content) + 1)
    first = rng.randrange(len(content))
    piece = content[first : first + rng.randrange(1, 60)]
    return content[:place] + rng.choice([piece, rng.randbytes(8)]) + content[place:]


def _token(content, rng):
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(TOKENS) + content[place + rng.randrange(8) :]


def _foreign(content, rng):
    return rng.choice([b"", rng.randbytes(100), b"text\n", b"[" * 10**6, content[::-1]])


def _json(content, rng):
    """Another value, name or nesting at a random place."""
    values = json.loads(content)
    parent, key, node = None, None, values
    while isinstance(node, (dict, list)) and node and (parent is None or rng.random() < 0.6):
        parent = node
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        node = node[key]
    if parent is None or rng.random() < 0.05:
        return json.dumps(rng.choice(VALUES)).encode()
    if rng.random() < 0.3:
        del parent[key]
    else:
        parent[key] = rng.choice([*VALUES, node])
    return json.dumps(values).encode()


def _cell(content, rng):
    """Another entry, or rows that are doubled, missing or in another order."""
    rows = [line.split(",") for line in content.decode().splitlines()]
    row = rng.randrange(len(rows))
    column = rng.randrange(len(rows[row]))
    kind = rng.randrange(5)
    if kind == 0:
        rows[row][column] = str(rng.choice(VALUES))
    elif kind == 1:
        rows.insert(row, rows[rng.randrange(len(rows))])
    elif kind == 2:
        del rows[row]
    elif kind == 3:
        rng.shuffle(rows)
    else:
        del rows[row][column]
    return "\n".join(",".join(row) for row in rows).encode() + b"\n"


def _array(content, rng):
    """An archive in which one array has another type, shape or value, or is missing."""
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    name = rng.choice(list(arrays))
    array = arrays[name]
    choices = {
        "dtype": lambda: array.astype(rng.choice(["f2", "f8", "i4", "c8", "U3", ">f4", "?"])),
        "shape": lambda: array.reshape(-1)[: max(array.size - 1, 0)],
        "axes": lambda: array[None],
        "scalar": lambda: np.float32(3),
        "empty": lambda: array[:0] if array.ndim else np.zeros(0),
        "objects": lambda: np.array([array, None], dtype=object),
        "records": lambda: np.zeros(3, [("a", "f4"), ("b", "i8")]),
        "nan": lambda: np.where(np.arange(array.size).reshape(array.shape) == 0, np.nan, array),
        "huge": lambda: np.where(np.zeros(array.shape) == 0, 1e30, array),
    }
    kind = rng.choice([*choices, "missing", "renamed"])
    if kind in choices:
        arrays[name] = choices[kind]()
        if kind in ("nan", "huge") and array.dtype.kind == "f":
            arrays[name] = arrays[name].astype(array.dtype)
    else:
        del arrays[name]
        arrays |= {} if kind == "missing" else {"other": array}
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        step = file.comment.removeprefix(b"step ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # also objects, which the project never writes
    return with_step(buffer.getvalue(), int(step)) if step else buffer.getvalue()


def _zip(content, rng):
    """An archive with another compression, comment or member, or one that is encrypted."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
        comment = file.comment
    kind = rng.choice(["packed", "comment", "text", "double", "cut", "path", "encrypted", "method"])
    buffer = io.BytesIO()
    name = rng.choice(list(members))
    if kind == "text":
        members[name] = b"text"
    if kind == "cut":
        members[name] = members[name][: rng.randrange(len(members[name]))]
    packed = zipfile.ZIP_DEFLATED if kind == "packed" else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", packed) as file:
        warnings.simplefilter("ignore")
        for each, member in members.items():
            file.writestr(f"../{each}" if kind == "path" and each == name else each, member)
        if kind == "double":
            file.writestr(name, members[rng.choice(list(members))])
        file.comment = (
            rng.choice([b"", b"step 0", b"step x", b"step 4"]) if kind == "comment" else comment
        )
    result = bytearray(buffer.getvalue())
    central = result.rindex(b"PK\x01\x02")
    if kind == "encrypted":
        result[central + 8] |= 1
    if kind == "method":
        result[central + 10] = 99
    return bytes(result)

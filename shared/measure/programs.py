"""Extracts the program that XLA compiles for one training step, in a form that can be compared.

That two runs have equal bits is an observation. Its reason is that XLA gets the same step from both
implementations and compiles it to the same instructions, which give the same bits on the same
numbers. A `Program` is a step without everything that does not affect its numbers: names, the order
of independent instructions, copies. Integers that depend only on integers (the seed of the noise,
counters) are left out too, because their arithmetic is exact in any form.
"""

import hashlib
from dataclasses import dataclass

from tensorflow.compiler.xla import xla_data_pb2
from tensorflow.compiler.xla.service import hlo_pb2

__all__ = ["Program", "differences", "program"]

STAGES = {"before": "hlo_serialized", "after": "optimized_hlo_serialized"}
WHOLE = "whole numbers"
# The fields of an instruction that do not affect its result: its identity and its origin.
IDENTITY = (
    "name",
    "metadata",
    "id",
    "operand_ids",
    "called_computation_ids",
    "control_predecessor_ids",
    "parameter_number",
    "frontend_attributes",
    "tuple_index",
)
WHOLES = {
    number
    for name, number in xla_data_pb2.PrimitiveType.items()
    if name[0] in "SU" or name == "PRED"
}


@dataclass(frozen=True)
class Program:
    """Holds the instructions of one training step.

    Attributes:
        results: {variable: digest} of each value that the step writes to a variable. Two equal
            digests mean the same instructions on the same inputs.
        instructions: {digest: Instruction} of all instructions on which the results depend.
    """

    results: dict[str, str]
    instructions: dict[str, "Instruction"]


@dataclass(frozen=True)
class Instruction:
    """Holds an instruction: its text, its operands' digests, and its TensorFlow operation."""

    text: str
    operands: tuple[str, ...]
    operation: str


def program(function, arguments, variables, stage="before"):
    """Extracts the training step from a compiled function.

    Args:
        function: tf.function with jit_compile=True; either one step, or a loop over steps.
        arguments: {name: tensor}, its arguments in order; "x" is the batch of a step.
        variables: {name: tf.Variable} that it may read and write.
        stage: "before" or "after" the optimizations of XLA.
    Returns:
        Program
    """
    tensors = list(arguments.values())
    concrete = function.get_concrete_function(*tensors)
    names = {id(variable.handle): name for name, variable in variables.items()}
    inputs = [*arguments, *(names[id(captured)] for captured in concrete.captured_inputs)]
    serialized = function.experimental_get_compiler_ir(*tensors)(stage=STAGES[stage])
    reader = _Reader(hlo_pb2.HloModuleProto.FromString(serialized))
    return reader.program(inputs)


def differences(ours, theirs):
    """Lists where two programs differ first.

    Args:
        ours, theirs: Program.
    Returns:
        list of lines, empty for equal programs: each instruction that only one of them has and
        whose inputs both have, with the TensorFlow operation that it comes from.
    """
    names = sorted(ours.results.keys() & theirs.results.keys())
    different = [name for name in names if ours.results[name] != theirs.results[name]]
    lines = []
    for sign, one, other in (("-", ours, theirs), ("+", theirs, ours)):
        needed, waiting = set(), [one.results[name] for name in different]
        while waiting:
            digest = waiting.pop()
            if digest in needed or digest not in one.instructions:
                continue
            needed.add(digest)
            waiting.extend(one.instructions[digest].operands)
        for digest, instruction in one.instructions.items():
            inputs_shared = all(
                each in other.instructions or each not in one.instructions
                for each in instruction.operands
            )
            if digest in needed and digest not in other.instructions and inputs_shared:
                lines.append(f"{sign} {instruction.text}  {instruction.operation}")
    return lines or [f"! {name} differs" for name in different]


class _Reader:
    """Reads an XLA module; an instruction's value is a digest, or a tuple of digests."""

    def __init__(self, module):
        self.module = module
        self.computations = {each.id: each for each in module.computations}
        self.instructions = {}

    def program(self, inputs):
        entry = self.computations[self.module.entry_computation_id]
        parameters = {
            each.parameter_number: _input(each.shape, inputs[each.parameter_number])
            for each in entry.instructions
            if each.opcode == "parameter"
        }
        values = self._values(entry, parameters)
        loops = [each for each in entry.instructions if each.opcode == "while"]
        if loops:
            loop = max(loops, key=lambda each: len(each.shape.tuple_shapes))
            return self._body(loop, values[loop.operand_ids[0]], inputs)
        # An output is written to the memory of its variable, which is a parameter.
        outputs = {
            alias.output_shape_index[0]: inputs[alias.parameter_number]
            for alias in self.module.input_output_alias.entries
        }
        return self._results(outputs, values[entry.root_id])

    def _body(self, loop, start, inputs):
        """Returns the body of a loop, applied to its initial state, as a program of its own."""
        body = max(
            (self.computations[each] for each in loop.called_computation_ids),
            key=lambda each: len(each.instructions),
        )
        (parameter,) = (each for each in body.instructions if each.opcode == "parameter")
        shapes = parameter.shape.tuple_shapes
        tokens = tuple(_input(shape, f"state {i}") for i, shape in enumerate(shapes))
        after = self._values(body, {0: tokens})[body.root_id]
        given, outputs = [], {}
        for index, (shape, value) in enumerate(zip(shapes, start, strict=True)):
            name = next((each for each in inputs if value == _digest("input", each)), None)
            if name is not None and tokens[index] != after[index]:
                outputs[index] = name
            elif tokens[index] != after[index] and shape.element_type not in WHOLES:
                value = _digest("input", "x")  # the batch, which the previous step gathered
            # Otherwise it is an integer, or was computed once before the loop.
            given.append(value if shape.element_type not in WHOLES else _input(shape, ""))
        self.instructions = {}
        return self._results(outputs, self._values(body, {0: tuple(given)})[body.root_id])

    def _results(self, outputs, root):
        results = {name: root[index] for index, name in outputs.items()}
        return Program(
            {name: value for name, value in results.items() if not value.startswith(WHOLE)},
            self.instructions,
        )

    def _values(self, computation, parameters):
        """Returns {instruction id: value}; operands are listed before their instruction."""
        values, shapes = {}, {}
        for each in computation.instructions:
            shapes[each.id] = list(each.shape.dimensions)
            operands = [values[number] for number in each.operand_ids]
            inner = [self.computations[number] for number in each.called_computation_ids]
            if each.opcode == "parameter":
                value = parameters[each.parameter_number]
            elif each.opcode == "tuple":
                value = tuple(operands)
            elif each.opcode == "get-tuple-element":
                whole = operands[0]  # one digest if a function takes a tuple
                index = each.tuple_index
                value = whole[index] if isinstance(whole, tuple) else _digest(whole, str(index))
            elif each.opcode == "copy" or (
                each.opcode in ("reshape", "bitcast")
                and shapes[each.operand_ids[0]] == shapes[each.id]
            ):
                value = operands[0]
            elif each.opcode in ("call", "fusion"):
                value = self._values(inner[0], dict(enumerate(operands)))[inner[0].root_id]
                if each.opcode == "fusion":
                    # A fusion is one kernel, in which XLA may round a · b + c only once.
                    parts = value if isinstance(value, tuple) else (value,)
                    parts = tuple(self._note(each, [part], b"") for part in parts)
                    value = parts if isinstance(value, tuple) else parts[0]
            else:
                value = self._note(each, operands, b"".join(map(self._function, inner)))
            values[each.id] = value
        return values

    def _function(self, computation):
        """Returns the digest of a function of an instruction, as `add` of a reduction."""
        parameters = {
            each.parameter_number: _digest("parameter", str(each.parameter_number))
            for each in computation.instructions
            if each.opcode == "parameter"
        }
        return repr(self._values(computation, parameters)[computation.root_id]).encode()

    def _note(self, each, operands, functions):
        """Stores an instruction, and returns its digest."""
        operands = tuple(_flat(operands))
        whole = each.shape.element_type in WHOLES
        if whole and all(operand.startswith(WHOLE) for operand in operands):
            return _input(each.shape, "")
        plain = type(each)()
        plain.CopyFrom(each)
        for name in IDENTITY:
            plain.ClearField(name)
        content = plain.SerializeToString(deterministic=True) + functions
        digest = hashlib.sha256(b" ".join([content, *(o.encode() for o in operands)])).hexdigest()
        kind = xla_data_pb2.PrimitiveType.Name(each.shape.element_type).lower()
        shape = ",".join(str(size) for size in each.shape.dimensions)
        text = f"{kind}[{shape}] {each.opcode}"
        self.instructions.setdefault(digest, Instruction(text, operands, each.metadata.op_name))
        return digest


def _input(shape, name):
    """Returns the value of an input: a digest of its name, or the shape of an integer input."""
    if shape.element_type in WHOLES:
        return f"{WHOLE} {shape.element_type} {list(shape.dimensions)}"
    return _digest("input", name)


def _digest(*words):
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def _flat(values):
    for value in values:
        if isinstance(value, tuple):
            yield from _flat(value)
        else:
            yield value

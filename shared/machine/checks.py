"""The exception that reports bad input, and checks of numbers that raise it.

It imports nothing, because the command line checks a config before TensorFlow is imported.
"""

__all__ = ["FLOAT32_MAX", "FLOAT32_MIN", "INT32_MAX", "UsageError", "integer", "integers", "number"]

INT32_MAX = 2**31 - 1  # sizes of tensors, and the step in the seed of the noise, are int32
FLOAT32_MIN, FLOAT32_MAX = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # training computes in float32


class UsageError(Exception):
    """Reports bad usage or bad input in one line: what was found, what was expected, what to do.

    It is not a ValueError, which `argparse` would catch where it reads a flag.
    """


def integers(name, values):
    """Returns `values` as a tuple; raises UsageError unless all are integers >= 1."""
    if not isinstance(values, (list, tuple)):
        raise UsageError(f"{name} is {values!r}; expected a list of integers >= 1")
    for value in values:
        integer(name, value)
    return tuple(values)


def integer(name, value, least=1, most=INT32_MAX):
    """Raises UsageError unless `value` is an integer from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} is {value!r}; expected an integer >= {least}")
    if value > most:
        raise UsageError(f"{name} is {value}; expected an integer <= {most}")


def number(name, value, least):
    """Returns `value` as a float; raises UsageError unless it is >= `least` and fits in float32."""
    # The comparison is False for NaN, and an integer too large for a float does not overflow in it.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not abs(value) <= FLOAT32_MAX:
        raise UsageError(
            f"{name} is {value!r}; expected a finite number, at most {FLOAT32_MAX:.2g} (float32)"
        )
    if value < least:
        wanted = f"> 0, at least {least:.2g} (float32)" if least else ">= 0"
        raise UsageError(f"{name} is {value}; expected a number {wanted}")
    return float(value)

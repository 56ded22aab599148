"""Checks the work on a project.

    python notebooks/projects/01_full_covariance.py
    python notebooks/projects/checking.py notebooks/projects/solutions/01_full_covariance.py

Both print one line per requirement, up to the first that is not met, and return exit status 0 only if
all are met. How a project is checked is in the folder checks, which is better read afterwards.
"""

import importlib.util
import sys
from pathlib import Path

from shared.command.implementation import quiet

__all__ = ["Wrong", "check", "expect", "loaded"]

FOLDER = Path(__file__).parent


class Wrong(Exception):
    """Reports in one line what a requirement found and what it expected."""


def expect(met, text):
    """Raises Wrong with the text unless the requirement is met.

    Args:
        met: a bool.
        text: what was found, what was expected, and a hint.
    Raises:
        Wrong: the requirement is not met.
    """
    if not met:
        raise Wrong(text)


def loaded(path, name):
    """Returns the module in a file whose name need not be a name of a module.

    Args:
        path: path of the file.
        name: name that the module gets.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(path):
    """Prints which requirements of a project a file meets, and returns the exit status.

    Args:
        path: path of NN_name.py; the first two characters select the project.
    Returns:
        0 if all requirements are met, and 1 otherwise.
    """
    path = Path(path)
    sys.path[:0] = [str(FOLDER)]  # checks import this module
    with quiet():  # without TensorFlow's messages about the machine
        work = loaded(path, "work")
        requirements = loaded(FOLDER / "checks" / f"of_{path.name[:2]}.py", "checks").REQUIREMENTS
    for text, requirement in requirements:
        try:
            note = requirement(work)
        except NotImplementedError as missing:
            print(f"{path.name}: {missing}")
            return 1
        except Wrong as wrong:
            print(f"not yet: {text}: {wrong}")
            return 1
        except Exception as error:  # in what the reader has written
            print(f"not yet: {text}: {type(error).__name__}: {error}")
            return 1
        print(f"right: {text}{f' ({note})' if note else ''}")
    print(f"{path.stem}: all requirements are met")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("usage: python notebooks/projects/checking.py NN_name.py")
    import checking  # as the checks import it: one class Wrong, not two

    sys.exit(checking.check(sys.argv[1]))

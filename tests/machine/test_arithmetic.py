"""What decides the bits on a CPU: it is set once, refused otherwise, recorded, and portable."""

import json
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from portable import KNOWN, RECIPES, STEPS, bits

from shared.command.implementation import import_implementation
from shared.config import recipe
from shared.machine import arithmetic
from shared.machine.arithmetic import check_arithmetic, describe_arithmetic, use_threads
from shared.machine.checks import UsageError
from shared.machine.memory import cores
from shared.run.folder import read_config

PRINT = "import os, shared.machine.arithmetic as a; print(os.environ['XLA_FLAGS'])"
NAMES = ("TF_NUM_INTRAOP_THREADS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "XLA_FLAGS")


def python(code, *arguments, **variables):
    """Runs code in a process in which only the given variables of NAMES are set."""
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**kept, **variables},
        capture_output=True,
        text=True,
    )


def test_one_thread_and_fixed_instructions_are_set_in_every_process():
    code = f"{PRINT}; print(*(os.environ[n] for n in {NAMES[:2]}))"
    flags, variables = python(code).stdout.splitlines()
    assert variables == "1 AVX2"
    assert {
        "--xla_cpu_max_isa=AVX2",
        "--xla_cpu_enable_platform_dependent_math=false",
    } < set(flags.split())


def test_tensorflow_computes_with_one_thread():
    """Its threads are counted, because TensorFlow reports no number from the variable."""
    code = (
        "import os, sys; from shared.machine.arithmetic import use_threads\n"
        "use_threads(int(sys.argv[1]))\n"
        "import tensorflow as tf\n"
        "x = tf.random.normal((500, 500)); (x @ x).numpy()\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    one, four = (int(python(code, str(threads)).stdout) for threads in (1, 4))
    assert four - one == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TF_NUM_INTRAOP_THREADS", "2"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE"),
        ("DNNL_MAX_CPU_ISA", "SSE41"),
        ("XLA_FLAGS", "--xla_cpu_max_isa=AVX512"),
        ("XLA_FLAGS", "--xla_cpu_enable_platform_dependent_math=true"),
    ],
)
def test_another_value_is_refused_before_tensorflow_is_imported(name, value, tmp_path):
    code = (
        "import sys; from shared.command.line import main;"
        "status = main('tf_vae', ['train', '--data', 'mnist-5k', '--out', sys.argv[1]]);"
        "print(status, 'tensorflow' in sys.modules)"
    )
    done = python(code, str(tmp_path / "run"), **{name: value})
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{name} ") and value in line and "unset it" in line
    assert done.stdout.split() == ["2", "False"]
    assert not (tmp_path / "run").exists()


def test_the_same_value_is_accepted():
    given = {"TF_NUM_INTRAOP_THREADS": "1", "DNNL_MAX_CPU_ISA": "AVX2"}
    flags = "--xla_cpu_max_isa=AVX2"
    code = f"{PRINT}; a.check_arithmetic()"
    done = python(code, **given, XLA_FLAGS=flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split().count(flags) == 1


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
def test_a_number_of_threads_is_an_integer(threads):
    with pytest.raises(UsageError, match="expected an integer >= 1"):
        use_threads(threads)


def test_threads_are_set_before_tensorflow_is_imported():
    use_threads(1)
    with pytest.raises(UsageError, match="TensorFlow is imported already, with 1; call"):
        use_threads(3)
    check_arithmetic()  # nothing was changed
    code = "from shared.machine.arithmetic import *; use_threads(3); check_arithmetic();"
    assert python(f"{code} print(describe_arithmetic())").stdout.startswith("{'threads': 3,")


COUNTED = (
    "x = tf.random.normal((500, 500)); (x @ x).numpy(); n = len(os.listdir('/proc/self/task'))"
)


def test_a_tensorflow_that_is_imported_first_is_set_before_its_first_tensor_and_recorded_after_it():
    ours = "import shared.machine.arithmetic as a"
    imported = f"import os, tensorflow as tf; {ours}; {COUNTED}"
    before = f"import os; {ours}; import tensorflow as tf; {COUNTED}"
    counts = {int(python(f"{code}; print(n)").stdout) for code in (imported, before)}
    assert len(counts) == 1
    late = python(f"import tensorflow as tf; tf.zeros(1); {ours}; print(a.describe_arithmetic())")
    expected = {"threads": cores(), "instructions": platform.machine()}
    assert late.stdout.strip() == str(expected)


def test_a_processor_without_the_instructions_is_named(monkeypatch):
    assert describe_arithmetic() == {"threads": 1, "instructions": "AVX2"}
    monkeypatch.setattr(arithmetic, "has_instructions", lambda: False)
    monkeypatch.setattr(arithmetic, "platform", SimpleNamespace(machine=lambda: "aarch64"))
    assert describe_arithmetic() == {"threads": 1, "instructions": "aarch64"}
    assert arithmetic._flags() == {}


def test_a_run_records_its_settings_and_a_resume_under_others_says_so(
    implementation, data, tmp_path, capsys
):
    config = recipe("post-keras", epochs=2, picture_epochs=(1,), hidden_dims=(4,))
    shorter = recipe("post-keras", epochs=1, picture_epochs=(1,), hidden_dims=(4,))
    here = {"threads": 1, "instructions": "AVX2"}
    implementation.train(shorter, data, tmp_path / "run", verbose=0)
    values = read_config(tmp_path / "run")
    assert values["arithmetic"] == [here]
    other = {"threads": 8, "instructions": "AVX2"}
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps({**values, "arithmetic": [other]}), encoding="utf-8")
    implementation.train(config, data, tmp_path / "run", resume=True, verbose=0)
    note = "5 steps" if data.n_train == 500 else "3 steps"
    assert (
        f"note: {note} were computed with 8 threads and AVX2, and the rest is with 1 thread and"
        " AVX2; the bits are those of neither alone"
    ) in capsys.readouterr().err
    assert read_config(tmp_path / "run")["arithmetic"] == [other, here]


@pytest.mark.parametrize("name", RECIPES)
def test_the_bits_are_those_of_the_machine_that_wrote_the_file(implementation, name):
    """`make portable` compares them with other numbers of threads and other processors, too."""
    known = json.loads(KNOWN.read_text(encoding="utf-8"))
    assert known["steps"] == STEPS
    assert bits(implementation, name) == known["sha256"][name]


def test_a_compiled_step_gives_the_same_bits_whenever_it_is_called():
    """Each product and each sum of the step of post-keras, in one program, on equal inputs."""
    implementation = import_implementation("tf_vae")
    model = implementation.build(recipe("post-keras"), 784, None)
    x = tf.constant(np.random.RandomState(0).uniform(size=(100, 784)).astype(np.float32))

    @tf.function(jit_compile=True)
    def gradients():
        with tf.GradientTape() as tape:
            terms = model.terms(x, tf.constant([1, 2]))
            loss = tf.reduce_mean(terms.kl - terms.log_likelihood)
        return [loss, *tape.gradient(loss, model.trainable_variables)]

    results = {b"".join(each.numpy().tobytes() for each in gradients()) for _ in range(200)}
    assert len(results) == 1

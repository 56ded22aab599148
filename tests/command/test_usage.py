"""The flags: how they are read, what the help says of them, and what a mistake is told."""

import dataclasses
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import reproduce
from shared.command.arguments import COMMANDS, GROUPS, Train, command_of
from shared.command.flags import docs_of, given_flags
from shared.command.line import main
from shared.config import RECIPES, Config, recipe
from shared.machine.checks import UsageError
from shared.machine.text import suggestion

ROOT = Path(__file__).parents[2]
FIELDS = typing.get_type_hints(Config)


def another_value(name, config):
    """A value of a field, as it is typed and as it is in the config; not that of the config."""
    kind = next(k for k in (*typing.get_args(FIELDS[name]), FIELDS[name]) if k is not type(None))
    if typing.get_origin(FIELDS[name]) is typing.Literal:
        choice = next(c for c in typing.get_args(FIELDS[name]) if c != getattr(config, name))
        return [choice], choice
    if typing.get_origin(FIELDS[name]) is tuple:
        return ["64", "32"], (64, 32)
    if typing.get_origin(kind) is typing.Literal:
        return [typing.get_args(kind)[0]], typing.get_args(kind)[0]
    return (["0.125"], 0.125) if kind is float else (["7"], 7)


NEEDED = {  # flags without which a value is refused
    "likelihood": ["--output-bias", "zero"],
    "fixed_sigma": ["--likelihood", "gaussian", "--output-bias", "zero"],
    "levels": ["--likelihood", "categorical", "--output-bias", "zero"],
    "rmsprop_epsilon": ["--optimizer", "rmsprop"],
}


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"recipe", "step_losses"}))
@pytest.mark.parametrize("recipe_name", RECIPES)
def test_a_flag_sets_its_field_and_no_other(recipe_name, name):
    """In each spelling: with hyphens or underscores, with a blank or, for one value, with =."""
    base = command_of("tf_vae", ["train", "--recipe", recipe_name, *NEEDED.get(name, [])]).config
    words, value = another_value(name, base)
    changes = {name: value}
    if name in ("epochs", "steps"):
        changes |= {"epochs": None, "steps": None} | changes
    wanted = dataclasses.replace(base, **changes)
    flag = f"--{name.replace('_', '-')}"
    spellings = [[flag, *words], [f"--{name}", *words]]
    spellings += [[f"{flag}={words[0]}"]] if len(words) == 1 else []
    for spelling in spellings:
        arguments = ["train", *spelling, "--recipe", recipe_name, *NEEDED.get(name, [])]
        assert command_of("keras_vae", arguments) == Train(wanted)


def test_a_flag_without_a_value_has_one_that_takes_it_back():
    for name, config in RECIPES.items():
        for flag, value in (("--step-losses", True), ("--no-step-losses", False)):
            command = command_of("tf_vae", ["train", "--recipe", name, flag])
            assert command.config == dataclasses.replace(config, step_losses=value)
    command = command_of("tf_vae", ["train", "--resume"])
    assert command.resume and not command.overwrite
    with pytest.raises(UsageError, match="there is no flag '--no-resume'"):
        command_of("tf_vae", ["train", "--no-resume"])


def test_the_word_none_stands_for_a_value_that_is_not_given():
    arguments = ["--patience", "None", "--image-size", "None", "--out", "None", "--scale", "None"]
    assert command_of("tf_vae", ["train", *arguments]) == command_of("tf_vae", ["train"])
    command = command_of("tf_vae", ["train", "--epochs", "None", "--steps", "9"])
    assert command.config == recipe("post-keras", steps=9)


def test_the_last_of_two_equal_flags_counts():
    arguments = ["train", "--recipe", "nats", "--beta", "2", "--recipe=post-tf", "--beta", "3"]
    assert command_of("tf_vae", arguments) == Train(recipe("post-tf", beta=3))


def test_a_field_without_a_default_is_an_argument_without_a_name():
    for arguments in (["a b", "--samples", "3"], ["--samples", "3", "a b"]):
        command = command_of("tf_vae", ["evaluate", *arguments])
        assert (command.dir, command.samples) == (Path("a b"), 3)


def test_every_flag_of_train_is_in_one_group_of_the_help_with_its_docstring():
    names = [name for group in GROUPS.values() for name in group]
    flags = {**FIELDS, **typing.get_type_hints(Train)}
    assert sorted(names) == sorted(flags.keys() - {"config"})
    for kind in (Config, *COMMANDS.values(), reproduce.Reproduce):
        docs = docs_of(kind)
        fields = [f.name for f in dataclasses.fields(kind) if f.name != "config"]
        assert list(docs) == fields and all(text.endswith(".") for text in docs.values())


def helped(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main("tf_vae", list(arguments))
    assert end.value.code == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


@pytest.mark.parametrize("name", RECIPES)
def test_the_help_shows_the_defaults_of_the_recipe_and_fits_into_80_columns(
    name, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    text = helped(capsys, "train", "--recipe", name, "--help")
    assert max(map(len, text.splitlines())) <= 80
    for title in GROUPS:
        assert f"\n{title}:\n" in text
    # What is said of a flag reaches to the next one.
    parts = {part.split()[0]: " ".join(part.split()) for part in text.split("\n  --")[1:]}
    config = dataclasses.asdict(RECIPES[name])
    for field, value in config.items():
        part = parts[field.replace("_", "-").replace("step-losses", "step-losses,")]
        if value is None or value is False:
            assert "(default:" not in part
        else:
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
            assert f"(default: {shown})" in part
    assert text.count("  python -m tf_vae train ") == 3
    for example in text[text.index("examples:") :].splitlines()[1:]:
        arguments = example.split()[3:]
        assert isinstance(command_of("tf_vae", arguments), Train)


def test_every_command_has_a_help_and_the_versions_are_one_line(capsys):
    overview = helped_overview = None
    assert main("keras_vae", ["--help"]) == 0
    overview = capsys.readouterr().out
    for name, kind in COMMANDS.items():
        assert f"  {name:10}{kind.__doc__}" in overview
        helped_overview = helped(capsys, name, "--help")
        assert kind.__doc__ in helped_overview
    for run in (lambda: main("keras_vae", ["--version"]), lambda: reproduce.main(["--version"])):
        assert run() == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert "tensorflow 2." in line and "keras 3." in line and "python 3." in line


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--lr", "--learning-rate"),
        ("--learning_rat", "--learning-rate"),
        ("--batch", "--batch-size"),
        ("--latent-dims", "--latent-dim"),
        ("--epoch", "--epochs"),
        ("--hidden-dim", "--hidden-dims"),
        ("--kl-warmup", "--kl-warmup-steps"),
    ],
)
def test_a_flag_that_does_not_exist_is_told_what_was_meant(word, meant, capsys):
    assert main("tf_vae", ["train", word, "3"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    found = word.replace("_", "-")
    assert line == (f"python -m tf_vae train: there is no flag {found!r}; did you mean {meant}?")


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (["train", "--data", "minst"], "no data at minst; did you mean mnist?"),
        (["train", "--data", "mnist5k"], "no data at mnist5k; did you mean mnist-5k?"),
        (["train", "--recipe", "post_keras"], "nats; did you mean post-keras?"),
        (["train", "--likelihood", "bernouli"], "did you mean bernoulli?"),
        (["trian"], "did you mean train?"),
        (["train", "--zzzzz"], "there is no flag '--zzzzz'; --help lists the flags"),
        (["train", "extra"], "'extra' is not expected here; --help lists the flags"),
        (["train", "--beta", "x" * 99], f"'{'x' * 60}…' is not a number; --help lists the flags"),
        (["evaluate"], "the following arguments are required: DIR; --help lists the flags"),
        ([], "a command is missing; expected one of train, evaluate, figures, sample, export"),
    ],
)
def test_a_mistake_is_told_in_one_line_what_was_meant(arguments, end, capsys):
    assert main("keras_vae", arguments) == 2
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.endswith(end) and output.out == ""


def test_reproduce_tells_what_was_meant(capsys):
    assert reproduce.main(["--quik"]) == 2
    line = "python reproduce.py: there is no flag '--quik'; did you mean --quick?\n"
    assert capsys.readouterr().err == line


def test_nothing_is_suggested_that_is_not_alike():
    for word in ("", "-", "--", "x", "--zzzzz", "gone.npz", "photos"):
        assert suggestion(word, ["mnist", "mnist-5k", "auto", "--learning-rate"]) == ""


QUICK = """
import sys
sys.path.insert(0, {root!r})
import reproduce
from shared.command.line import main
assert reproduce.main(["--epoch", "3"]) == 2
assert reproduce.main(["--out", {root!r}]) == 2
for command in ("evaluate", "figures", "sample", "export"):
    assert main("tf_vae", [command, "nothing"]) == 2
assert main("tf_vae", ["train", "--data", "minst"]) == 2
slow = {{"tensorflow", "keras", "matplotlib", "sklearn", "scipy", "rich", "jinja2", "tyro"}}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""


def test_a_mistake_is_told_before_anything_slow_is_imported(tmp_path):
    code = QUICK.format(root=str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 7 and done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@dataclasses.dataclass
class Flags:
    """Has 100 % of it."""

    share: str = "50%"
    """At most %(share)s."""


def test_percent_signs_are_printed_as_they_are(capsys):
    with pytest.raises(SystemExit):
        given_flags(["--help"], "program", [Flags])
    output = capsys.readouterr().out
    assert "Has 100 % of it." in output and "At most %(share)s. (default: 50%)" in output

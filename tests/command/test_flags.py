"""Bad values of every flag of `train` are refused with status 2, and nothing is written."""

import dataclasses
import os
import typing

import pytest

from shared.command import line
from shared.config import Config

TEXTS = ["", "x", "nan", "1.5.2", "true", "[]", "\u0664x", "0x10", "\x00", "1;2", "--"]
NOT_INTEGERS = [*TEXTS, "1.0", "1e3", "inf", "-1", "9" * 400, "9" * 5000, str(2**31)]
NOT_NUMBERS = [*TEXTS, "inf", "-inf", "-1", "1e39", "-1e-30", "1,5", "9" * 400, "9" * 5000]
FIELDS = typing.get_type_hints(Config)
FLAGS = {field.name: f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(Config)}


def bad_values(name):
    """Values that are no values of a field, as they are typed."""
    kind = FIELDS[name]
    if typing.get_origin(kind) is typing.Literal:
        choice = typing.get_args(kind)[0]
        return [*TEXTS, choice.upper(), f" {choice}", choice[:-1], choice + ",", "0"]
    if "float" in str(kind):
        zero = ["0", "1e-50"] if name != "beta" else []  # the least normal float32 is 1.2e-38
        return [*NOT_NUMBERS, *zero]
    if kind is bool:
        return TEXTS
    values = {"seed": ["0.5"], "kl_warmup_steps": ["0.5"]}.get(name, ["0"])
    if name == "seed":  # of any size; Python reads at most 4,300 digits
        return [v for v in NOT_INTEGERS if not v.isdigit() or len(v) > 4300] + values
    return [*NOT_INTEGERS, *values]


def refused(package, arguments, capsys):
    """The message for bad arguments, which is one line."""
    assert line.main(package, arguments) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1 and len(output.err) > 1, output.err
    assert "Traceback" not in output.err
    return output.err


@pytest.mark.parametrize("name", FLAGS)
def test_bad_values_are_refused(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    extra = {"fixed_sigma": ["--likelihood", "gaussian"], "levels": ["--likelihood", "categorical"]}
    values = bad_values(name)
    assert len(values) > 10
    for value in values:
        # If the value were accepted, the message would be about the data.
        arguments = ["train", *extra.get(name, []), FLAGS[name], value, "--data", "nowhere.npz"]
        text = refused("tf_vae", arguments, capsys)
        assert "no data at" not in text, (value, text)
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["trian"], ["train", "extra"], ["train", "--latent"], ["train", "--latent-dim"],
        ["train", "--latent-dim", "2", "3"], ["train", "--hidden-dims"], ["train", "--no-resume"],
        ["train", "--epochs", "1", "--steps", "1"], ["train", "--resume", "yes"], ["evaluate"],
        ["evaluate", "nowhere"], ["evaluate", "nowhere", "--samples", "0"], ["figures", ""],
        ["figures", "nowhere", "--seed", "1"], ["sample", "nowhere", "--count", "-1"],
        ["sample", "nowhere", "--seed", "-1"], ["export", "/proc/self"], ["export", "\x00"],
        ["evaluate", "nowhere", "--importance-samples", "x"], ["sample", "a" * 5000],
        ["train", "--checkpoint-steps", "0"], ["train", "--checkpoint-steps", "-5"],
    ],
)  # fmt: skip
def test_bad_commands_are_refused(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refused("keras_vae", arguments, capsys)
    assert os.listdir(tmp_path) == []

"""The projects: solutions pass, starters name what is missing, and wrong work is refused."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECTS = ROOT / "notebooks" / "projects"
STARTERS = sorted(PROJECTS.glob("[0-9]*.py"))
PAGES = {"en": "README.md", "zh-CN": "README.zh-CN.md"}

# {project: changes of the solution that a reader might make, as (right code, wrong code)}
MISTAKES = {
    "01": [
        # no trace of the whole matrix
        (
            "np.sum(factor**2, axis=(1, 2))",
            "np.sum(_diagonal(factor) ** 2, axis=1)",
        ),
        ("standard - _log_determinant(factor)", "standard"),  # no volume
        ("mean + np.einsum", "np.einsum"),
        # a diagonal covariance
        (
            "np.linalg.cholesky(covariance)",
            "np.diag(np.sqrt(np.diag(covariance)))",
        ),
        ("- mean.shape[1]", ""),
    ],
    "02": [
        ("largest = log_weights.max(axis=0)", "largest = 0"),
        ("largest + np.log(np.mean(np.exp(log_weights - largest), axis=0))", "log_weights.mean(0)"),
        # one group alone
        (
            "log_weights[: groups * k].reshape(groups, k, -1)",
            "log_weights[None, :k]",
        ),
        # a factor of 2
        (
            "/ weights.mean(axis=0) ** 2 / (2 * k)",
            "/ weights.mean(axis=0) ** 2 / k",
        ),
        ("np.exp(log_weights - log_weights.max(axis=0))", "log_weights"),
    ],
    "03": [
        # for each image, before the mean
        (
            "ops.sum(ops.maximum(ops.mean(kl, axis=0), floor))",
            "ops.mean(ops.sum(ops.maximum(kl, floor), axis=1))",
        ),
        ("ops.sum(ops.maximum(", "ops.mean(ops.maximum("),
        # a floor of the sum
        (
            "ops.sum(ops.maximum(ops.mean(kl, axis=0), floor))",
            "ops.maximum(ops.sum(ops.mean(kl, axis=0)), floor)",
        ),
        ("- ops.mean(log_likelihood)", "+ ops.mean(log_likelihood)"),
    ],
    "04": [
        (
            "log_sigmoid(high) + log_sigmoid(-low) + np.log(-np.expm1(low - high))",
            "np.log(np.exp(log_sigmoid(high)) - np.exp(log_sigmoid(low)))",
        ),
        ("np.where((v > -1) & (v < 1), inside, edges)", "inside"),  # nothing beyond the edges
        (".sum(axis=1)", ".mean(axis=1)"),
        (
            "-np.logaddexp(0, -np.asarray(a, dtype=np.float64))",
            "np.log(1 / (1 + np.exp(-np.asarray(a, dtype=np.float64))))",
        ),
        ("/ np.log(2)", ""),
    ],
    "05": [
        ("x_valid=x[1000:1300], ", ""),
        ("x_valid=x[1000:1300]", "x_valid=x[:300]"),  # images that are trained on
        ("x_train=x[:1000]", "x_train=(16 * x[:1000]).astype(np.uint8)"),  # 16 of 255 for white
        ("(8, 16)", "(64, 128)"),
        # z is not used
        (
            'keras.Model(z, {"logits": logits})',
            'keras.Model(z, {"logits": 0 * logits})',
        ),
    ],
    "06": [
        ("log_likelihood + log_prior - log_q", "log_likelihood + log_prior"),
        ("standard**2 + z_log_var", "standard**2"),
        (" - math.log(samples)", ""),
        (
            "tf.reduce_logsumexp(log_weights, axis=0) - math.log(samples)",
            "tf.reduce_mean(log_weights, axis=0)",
        ),
        ("tf.nn.softmax(log_weights, axis=0)", "tf.nn.softmax(log_weights, axis=1)"),
        ("assign_sub", "assign_add"),
    ],
    "07": [
        ("values[:-latent_dim].mean()", "values[-latent_dim:].mean()"),
        (" - noise, 0", ", 0"),  # the noise is not taken away
        # no variance of the posterior
        (
            "len(x) * noise * inverse + mean.T @ mean",
            "mean.T @ mean",
        ),
        ("/ x.size", "/ len(x)"),
        ("2 * np.pi * covariance", "covariance"),
    ],
    "08": [
        ("elbos + log_prior + surprise(", "elbos + surprise("),
        (
            "-np.logaddexp.reduce(elbos + log_prior, axis=1)",
            "-np.log(np.sum(np.exp(elbos + log_prior), axis=1))",
        ),
        ("surprise(elbos, log_prior) + baseline", "surprise(elbos, log_prior) - baseline"),
        (" + 0.5 * (difference == 0)", ""),
    ],
}


@pytest.fixture(autouse=True)
def checking(monkeypatch):
    """The module that checks a project, found as from its own folder."""
    monkeypatch.syspath_prepend(str(PROJECTS))
    return importlib.import_module("checking")


def solution(starter):
    return PROJECTS / "solutions" / starter.name


def test_there_are_eight_projects_with_a_solution_and_a_check_each():
    names = [path.name for path in STARTERS]
    assert len(names) == 8 == len(MISTAKES)
    assert [path.name for path in sorted((PROJECTS / "solutions").glob("*.py"))] == names
    checks = [path.name for path in sorted((PROJECTS / "checks").glob("*.py"))]
    assert checks == [f"of_{name[:2]}.py" for name in names]


@pytest.mark.parametrize("starter", STARTERS, ids=lambda path: path.stem)
def test_a_solution_meets_all_requirements(starter, checking, capsys):
    assert checking.check(solution(starter)) == 0, capsys.readouterr().out
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) >= 3 and all(line.startswith("right: ") for line in lines)
    assert last == f"{starter.stem}: all requirements are met"


@pytest.mark.parametrize("starter", STARTERS, ids=lambda path: path.stem)
def test_an_unfilled_starter_says_in_one_line_what_is_missing(starter, checking, capsys):
    assert checking.check(starter) == 1
    (line,) = capsys.readouterr().out.splitlines()
    wanted = rf"{re.escape(starter.name)}: (\w+) is missing: write its body \(TODO\)"
    (name,) = re.fullmatch(wanted, line).groups()
    assert f"def {name}(" in starter.read_text(encoding="utf-8")


@pytest.mark.parametrize("starter", STARTERS, ids=lambda path: path.stem)
def test_a_starter_and_its_solution_have_the_same_functions(starter):
    def functions(path):
        text = path.read_text(encoding="utf-8")
        return re.findall(r"^def ([a-z]\w*\(.*\)):", text, re.MULTILINE)

    assert functions(starter) == functions(solution(starter))
    assert starter.read_text(encoding="utf-8").count("(TODO)") == len(functions(starter))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of logarithms of 0, in wrong work
@pytest.mark.parametrize(
    ("starter", "right", "wrong"),
    [(starter, *each) for starter in STARTERS for each in MISTAKES[starter.name[:2]]],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_plausible_wrong_work_is_refused_in_one_line(
    starter, right, wrong, checking, capsys, tmp_path
):
    text = solution(starter).read_text(encoding="utf-8")
    assert right in text
    helper = "\n\ndef _diagonal(factor):\n    return np.diagonal(factor, axis1=1, axis2=2)\n"
    path = tmp_path / starter.name
    path.write_text(text.replace(right, wrong) + helper, encoding="utf-8")
    assert checking.check(path) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert all(line.startswith("right: ") for line in lines)
    assert last.startswith("not yet: ")


def test_a_starter_is_a_program_with_an_exit_status():
    done = subprocess.run(
        [sys.executable, str(STARTERS[1])], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "02_importance_bound.py: bound is missing: write its body (TODO)\n"
    command = [sys.executable, str(PROJECTS / "checking.py"), str(solution(STARTERS[1]))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("02_importance_bound: all requirements are met\n")
    done = subprocess.run(command[:2], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and done.stderr.startswith("usage: ")


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_the_pages_name_every_project_and_ask_a_question_about_it(page):
    text = (PROJECTS / page).read_text(encoding="utf-8")
    assert re.findall(r"\]\((\d\d_\w+\.py)\)", text) == [path.name for path in STARTERS]
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(sections) == 8
    for number, section in enumerate(sections, start=1):
        assert section.startswith(f"{number}. ")
        assert re.search(r"\*(?:Question:|问题)\*", section) or "*Question:*" in section

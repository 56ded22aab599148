"""What makes a checkout work on other systems: line ends, encodings, file names, calls."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for path in ROOT.rglob("*.py")
    if not {"build", "runs", "results"} & {*path.relative_to(ROOT).parts[:1]}
    and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
]
# What Windows does not have: modules, and names in `os`, with the files that ask for them
UNIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios"}
UNIX_CALL = re.compile(
    "fork|get(e?uid|gid)|kill|killpg|mkfifo|nice|posix_.*|pread|sched_.*|setsid|statvfs|sysconf|uname"
    "|wait.*|O_(DIRECTORY|NOFOLLOW|CLOEXEC|NONBLOCK)"
)
ASKED_FOR = {"sysconf": "memory.py", "sched_getaffinity": "memory.py"}


def git(*arguments, cwd=ROOT):
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, check=True)
    return done.stdout.decode()


@pytest.fixture(scope="module")
def tracked():
    """The names of the files in git; a downloaded archive has no git."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    return git("ls-files", "-z").split("\0")[:-1]


def is_program(path):
    return path.relative_to(ROOT).parts[0] not in ("tests", "notebooks")


# ---- files


def test_a_clone_has_the_same_bytes_where_git_converts_line_ends(tracked, tmp_path):
    """Git for Windows sets core.autocrlf; checksums and the tests that compare bytes then fail."""
    repository, clone = tmp_path / "repository", tmp_path / "clone"
    for name in tracked:
        if (ROOT / name).exists():  # it may be removed, and not yet committed
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            (repository / name).write_bytes((ROOT / name).read_bytes())
    names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (
        ["init", "--quiet"],
        ["add", "--all", "--force"],
        ["commit", "--quiet", "-m", "all"],
    ):
        git(*names, *command, cwd=repository)
    git("-c", "core.autocrlf=true", "clone", "--quiet", str(repository), str(clone))
    assert (clone / "pretrained" / "post-keras" / "SHA256SUMS").exists()
    different = [
        path.relative_to(repository).as_posix()
        for path in repository.rglob("*")
        if path.is_file()
        and ".git" not in path.parts
        and (clone / path.relative_to(repository)).read_bytes() != path.read_bytes()
    ]
    assert different == []


def test_windows_takes_the_name_of_every_file(tracked):
    reserved = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\..*)?", re.IGNORECASE)
    for name in tracked:
        for part in name.split("/"):
            assert not reserved.fullmatch(part), name
            assert not re.search(r'[<>:"\\|?*\x00-\x1f]|[. ]$', part), name
        assert len(name) < 120, name  # of 260 characters with the folder
    folded = [name.casefold() for name in tracked]
    assert len(set(folded)) == len(folded)


# ---- sources


def calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            function = node.func
            owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
            yield node, owner, getattr(function, "attr", getattr(function, "id", ""))


def is_text(call, name, owner):
    """Whether a call opens a text file, as far as its source shows it."""
    if name in ("read_text", "write_text"):
        return owner != ""  # without an owner it is `shared.run.files.read_text`
    if name not in ("open", "NamedTemporaryFile", "TemporaryFile"):
        return False
    if owner in ("Image", "os", "webbrowser") or (name == "open" and owner == "file"):
        return False  # a file in an archive is of bytes
    first, default = (
        (1, "r") if owner == "" and name == "open" else (0, "r" if name == "open" else "b")
    )
    keyword = next((each.value for each in call.keywords if each.arg == "mode"), None)
    mode = call.args[first] if len(call.args) > first else keyword
    return "b" not in (default if mode is None else ast.unparse(mode))


def test_every_text_file_names_its_encoding():
    """Without one it is that of the machine, which is not UTF-8 on Windows before Python 3.15."""
    for path in SOURCES:
        for call, owner, name in calls(path):
            if is_text(call, name, owner):
                given = {each.arg for each in call.keywords}
                assert "encoding" in given, f"{path}:{call.lineno}"
                if name == "write_text" and "tests" not in path.parts:
                    assert "newline" in given, f"{path}:{call.lineno}"  # or "\n" becomes "\r\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('open("a")', True),
        ('open("a", "w")', True),
        ('open("a", mode="rb")', False),
        ('path.open("xb")', False),
        ("path.open()", True),
        ("path.read_text()", True),
        ("read_text(path)", False),
        ("tempfile.TemporaryFile()", False),
        ('tempfile.NamedTemporaryFile("w")', True),
    ],
)
def test_a_text_file_is_recognised(source, expected, tmp_path):
    (tmp_path / "a.py").write_text(source, encoding="utf-8")
    ((call, owner, name),) = calls(tmp_path / "a.py")
    assert is_text(call, name, owner) == expected


def test_programs_use_nothing_that_only_unix_has():
    for path in filter(is_program, SOURCES):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:  # inside a function, it can be asked for
            names = [each.name for each in getattr(node, "names", [])]
            names.append(getattr(node, "module", None))
            assert not UNIX & {*names}, path
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os":
                asked_for = ASKED_FOR.get(node.attr) == path.name
                assert asked_for or not UNIX_CALL.fullmatch(node.attr), (path, node.attr)

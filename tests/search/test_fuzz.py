"""A short run of tests/search/fuzz.py, and a check that it notices what it looks for."""

import pytest
from fuzz import Fuzzer

from shared.run import checksums


def test_changed_files_are_refused_or_restored(tmp_path):
    outcomes = Fuzzer(tmp_path).run(300, seed=0)
    assert outcomes.total() == 300 and outcomes["repaired"] > 100 and outcomes["restored"] > 30


def test_without_checksums_a_changed_file_is_noticed(tmp_path, monkeypatch):
    fuzzer = Fuzzer(tmp_path)
    monkeypatch.setattr(checksums, "_differs", lambda *_: False)
    with pytest.raises(SystemExit, match="AssertionError"):
        fuzzer.run(300, seed=0)

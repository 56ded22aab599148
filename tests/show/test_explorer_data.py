"""The data of the explorer: of which epochs it holds the weights, and whose they are."""

import json
import shutil

import numpy as np
import pytest

import reproduce
from shared.run.files import write_npz

pytest_plugins = ["page_fixtures"]


def explorer_data_of(page):
    text = page.read_text(encoding="utf-8")
    start = text.index('id="explorer-data">') + len('id="explorer-data">')
    return json.loads(text[start : text.index("</script>", start)])


@pytest.mark.parametrize("changed", ["labels", "3/decoder/logits/bias", "1/encoder/z_mean/kernel"])
def test_an_animation_of_another_run_is_not_shown(film, tmp_path, changed):
    """With another bit after a pictured epoch, or another label, only the pictured are left."""
    data = explorer_data_of(film / "index.html")
    assert [each["epoch"] for each in data["epochs"]] == [1, 2, 3] and data["pictured"] == [1, 3]
    copy = tmp_path / "out"
    shutil.copytree(film, copy)
    with np.load(copy / "latent.npz") as file:
        arrays = dict(file)
    arrays[changed].view(np.uint32).ravel()[0] ^= 1
    write_npz(copy / "latent.npz", arrays)
    arguments = ["--quick", "--data", str(film.parent / "x.npz"), "--epochs", "1", "3"]
    assert reproduce.main([*arguments, "--out", str(copy), "--resume"]) == 0
    data = explorer_data_of(copy / "index.html")
    assert [each["epoch"] for each in data["epochs"]] == [1, 3] == data["pictured"]
    assert len(data["weights"]["epochs"]) == 2

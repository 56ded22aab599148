"""CSV files: images of one row of pixels, tables, labels, and refusals that name row and column."""

import csv

import numpy as np
import pytest

from shared.data import load_data, tables
from shared.data.parts import split_rows
from shared.machine.checks import UsageError

RANDOM = np.random.RandomState(0)
PIXELS = RANDOM.randint(0, 256, (30, 9))
NUMBERS = RANDOM.normal(20, 300, (30, 4))
COLUMNS = ("age", "height", "income", "y0")
KIND = np.array(["dog", "cat", "emu"])[np.arange(30) % 3]


def write(path, header, rows, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([header, *rows] if header else rows)
    return str(path)


def refusal(path, **options):
    with pytest.raises(UsageError) as error:
        load_data(str(path), **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_pixels_in_numbered_columns_are_square_images(tmp_path):
    header = ["label", *(f"pixel{n}" for n in range(9))]
    labels = np.arange(30) % 3 + 5
    data = load_data(write(tmp_path / "k.csv", header, np.column_stack([labels, PIXELS])))
    assert data.image_shape == (3, 3) and data.columns is None and data.classes is None
    train, test = split_rows(30, labels)
    for part, rows in (("train", train), ("test", test)):
        x = getattr(data, f"x_{part}")
        assert (x == PIXELS[rows].astype(np.float32) / np.float32(255)).all()
        assert (getattr(data, f"y_{part}") == labels[rows]).all()
    assert data.understood == (
        "k: 30 grey images of 3 × 3, 3 classes from column 'label', 80/20 split by seed 0, pixels"
        " from the columns pixel0 … pixel8"
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_table_has_its_numbers_names_and_labels(tmp_path, delimiter, place):
    header = [*COLUMNS[:place], "Class", *COLUMNS[place:]]
    rows = np.insert(NUMBERS.astype(object), place, KIND, axis=1)
    data = load_data(write(tmp_path / "t.csv", header, rows, delimiter), scale="none")
    assert data.image_shape == (4,) and data.columns == COLUMNS
    assert data.classes == ("cat", "dog", "emu")
    codes = np.searchsorted(["cat", "dog", "emu"], KIND)
    train, test = split_rows(30, codes)
    assert (data.x_train == NUMBERS[train].astype(np.float32)).all()
    assert (data.x_test == NUMBERS[test].astype(np.float32)).all()
    assert (data.names_of(data.y_test) == KIND[test]).all()


def test_lines_are_read_in_parts_with_the_numbers_of_one(tmp_path, monkeypatch):
    rows = np.insert(NUMBERS.astype(object), 4, KIND, axis=1)
    path = write(tmp_path / "t.csv", [*COLUMNS, "y"], rows)
    first = load_data(path, scale="standard")
    monkeypatch.setattr(tables, "LINES", 7)
    second = load_data(path, scale="standard")
    assert first.sha256 == second.sha256 and first.describe() == second.describe()
    # Integers, as they are read in another way, have the same values with a space among them.
    path = write(tmp_path / "p.csv", [f"pixel{n}" for n in range(9)], PIXELS)
    expected = load_data(path).sha256
    text = (tmp_path / "p.csv").read_text(encoding="utf-8")
    (tmp_path / "q.csv").write_text(text.replace(",", ", "), encoding="utf-8")
    assert load_data(str(tmp_path / "q.csv")).sha256 == expected
    # Integers in the first parts and other numbers in the last one are numbers.
    mixed = PIXELS[:, :4].astype(object)
    mixed[29, 3] = 0.5
    data = load_data(write(tmp_path / "m.csv", COLUMNS, mixed), scale="none")
    assert 0.5 in data.x_train or 0.5 in data.x_test
    assert data.x_train.max() > 200


def test_the_column_of_labels_is_chosen(tmp_path):
    rows = np.column_stack([np.arange(30) % 2, np.arange(30) % 5, NUMBERS[:, 0]])
    path = write(tmp_path / "t.csv", ["Target", "label", "v"], rows)

    def chosen(**options):
        data = load_data(path, scale="none", **options)
        return data.columns, None if data.y_train is None else len(np.unique(data.y_train))

    assert chosen() == (("Target", "v"), 5)
    assert chosen(label_column="Target") == (("label", "v"), 2)
    assert chosen(label_column="none") == (("Target", "label", "v"), None)
    message = refusal(path, label_column="kind", scale="none")
    assert "no column 'kind'" in message and "Target, label, v" in message
    message = refusal(path, label_column="v", scale="none")
    assert "column 'v' holds" in message and "--label-column none" in message


def test_a_file_without_names_has_numbered_columns(tmp_path):
    data = load_data(write(tmp_path / "a.csv", None, PIXELS))
    assert data.image_shape == (3, 3) and "no line of column names" in data.understood
    assert data.n_train + data.n_test == 30
    data = load_data(
        write(tmp_path / "b.csv", None, np.insert(PIXELS, 0, 7, axis=1)), label_column="column_1"
    )
    assert data.image_shape == (3, 3) and set(data.y_train) == {7}
    # What pandas writes: names that count, and a column that counts the rows.
    header = ["", *range(9)]
    data = load_data(write(tmp_path / "c.csv", header, np.insert(PIXELS, 0, range(30), axis=1)))
    assert data.image_shape == (3, 3) and "without the first column" in data.understood
    data = load_data(write(tmp_path / "d.csv", list(range(9)), PIXELS))
    assert data.n_train + data.n_test == 30


def test_integers_in_named_columns_are_no_pixels(tmp_path):
    """Four columns are no 2 × 2 image, and 42 no 6 × 7 one."""
    path = write(tmp_path / "t.csv", COLUMNS, PIXELS[:, :4])
    assert "--scale minmax" in refusal(path)
    assert load_data(path, scale="minmax").image_shape == (4,)
    wide = RANDOM.randint(0, 256, (30, 42))
    path = write(tmp_path / "w.csv", [f"x{n}" for n in range(42)], wide)
    assert "--scale minmax" in refusal(path)
    assert load_data(path, scale="standard").image_shape == (42,)
    unit = write(tmp_path / "u.csv", COLUMNS, RANDOM.uniform(size=(30, 4)))
    data = load_data(unit)
    assert data.image_shape == (4,) and data.columns == COLUMNS and data.scaling is None


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", "row 17, column 'height' is missing; expected a number in every row"),
        ("NA", "row 17, column 'height' is missing (NA)"),
        ("nan", "row 17, column 'height' is missing (nan)"),
        ("tall", "row 17, column 'height' holds 'tall'; expected a number"),
        ("1,5", "row 17, column 'height' holds '1,5'"),
        ("inf", "row 17, column 'height' holds 'inf'"),
        ("1e99", "row 17, column 'height' holds 1e+99"),
    ],
)
@pytest.mark.parametrize("lines", [4096, 5])
def test_a_bad_value_is_named_by_row_and_column(tmp_path, monkeypatch, cell, message, lines):
    monkeypatch.setattr(tables, "LINES", lines)
    rows = NUMBERS.astype(object)
    rows[16, 1] = cell
    path = write(tmp_path / "t.csv", COLUMNS, rows)
    options = {} if cell == "1e99" else {"scale": "standard"}
    if cell == "1e99":
        rows[:, :] = 0.5
        rows[16, 1] = cell
        write(tmp_path / "t.csv", COLUMNS, rows)
    assert f"{path}: {message}" in refusal(path, **options)


@pytest.mark.parametrize("lines", [4096, 5])
@pytest.mark.parametrize("cell", ["", " ", "-", "2 3", "0x1", "1_0", "1e999", "٣x"])
@pytest.mark.parametrize("place", [(0, 0), (16, 1), (29, 8)])
def test_a_bad_pixel_is_named(tmp_path, monkeypatch, cell, lines, place):
    """Integers are read in another way than other numbers."""
    monkeypatch.setattr(tables, "LINES", lines)
    rows = PIXELS.astype(object)
    rows[place] = cell
    path = write(tmp_path / "p.csv", [f"pixel{n}" for n in range(9)], rows)
    message = refusal(path)
    assert f"{path}: row {place[0] + 1}, column 'pixel{place[1]}' " in message
    assert ("is missing" in message) == (not cell.strip())


def test_labels_are_names_if_one_is_no_number(tmp_path):
    labels = np.array(["7", "7b", "12"])[np.arange(30) % 3]
    rows = np.insert(NUMBERS.astype(object), 0, labels, axis=1)
    data = load_data(write(tmp_path / "t.csv", ["class", *COLUMNS], rows), scale="none")
    assert data.classes == ("12", "7", "7b")
    rows[:, 0] = np.arange(30) % 3
    data = load_data(write(tmp_path / "u.csv", ["class", *COLUMNS], rows), scale="none")
    assert data.classes is None and set(data.y_train) == {0, 1, 2}


def test_a_bad_label_is_named(tmp_path):
    for bad, values, message in (
        ("", KIND.astype(object), "is missing; expected a label"),
        ("", (np.arange(30) % 3).astype(object), "is missing; expected a label"),
        ("2.5", (np.arange(30) % 3).astype(object), "holds 2.5; expected labels"),
    ):
        labels = values.copy()
        labels[8] = bad
        rows = np.insert(NUMBERS.astype(object), 0, labels, axis=1)
        path = write(tmp_path / "t.csv", ["class", *COLUMNS], rows)
        assert f"row 9, column 'class' {message}" in refusal(path, scale="none")


@pytest.mark.parametrize("values", [NUMBERS, PIXELS[:, :4]], ids=["numbers", "pixels"])
def test_a_row_of_another_length_is_named(tmp_path, values):
    for change in (lambda row: row[:3], lambda row: [*row, 1]):
        rows = values.tolist()
        rows[4] = change(rows[4])
        path = write(tmp_path / "t.csv", COLUMNS, rows)
        assert f"row 5 has {len(rows[4])} values; expected 4" in refusal(path, scale="none")


def test_a_value_that_is_no_pixel_is_named_with_the_remedy(tmp_path):
    numbers = RANDOM.uniform(size=(30, 4))
    numbers[11, 2] = 42
    message = refusal(write(tmp_path / "t.csv", COLUMNS, numbers))
    assert "row 12, column 'income' holds 42;" in message
    assert "--scale minmax, or --scale standard --likelihood gaussian" in message
    pixels = PIXELS.copy()
    pixels[3, 5] = 256
    path = write(tmp_path / "p.csv", [f"pixel{n}" for n in range(9)], pixels)
    assert "row 4, column 'pixel5' holds 256;" in refusal(path)


def test_files_that_are_no_tables_are_refused(tmp_path):
    for name, content, message in (
        ("empty", b"", "is empty"),
        ("head", b"a,b\n", "has no rows"),
        ("binary", bytes(range(128, 256)) * 9, "expected a CSV in UTF-8"),
        ("labels", b"label\n1\n2\n", "no column of numbers"),
    ):
        (tmp_path / f"{name}.csv").write_bytes(content)
        assert message in refusal(tmp_path / f"{name}.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "lacks x_train-00000.npy" in refusal(tmp_path / "folder.csv")


def test_a_mark_of_excel_and_empty_lines_are_no_rows(tmp_path):
    text = "\ufeffa,b\r\n0.5,0.25\r\n\r\n1,0\r\n\r\n"
    (tmp_path / "t.csv").write_text(text, encoding="utf-8", newline="")
    data = load_data(str(tmp_path / "t.csv"))
    assert data.columns == ("a", "b")
    rows = {tuple(row) for row in np.concatenate([data.x_train, data.x_test])}
    assert rows == {(0.5, 0.25), (1, 0)}


def test_a_quoted_value_may_hold_the_delimiter(tmp_path):
    labels = np.array(["a, b", "c"])[np.arange(30) % 2]
    rows = np.insert(NUMBERS.astype(object), 1, labels, axis=1)
    header = ["age, years", "label", *COLUMNS[1:]]
    data = load_data(write(tmp_path / "t.csv", header, rows), scale="minmax")
    assert data.classes == ("a, b", "c") and data.columns[0] == "age, years"


def test_a_file_that_does_not_fit_is_refused_after_its_first_lines(tmp_path, monkeypatch):
    path = write(tmp_path / "t.csv", COLUMNS, NUMBERS.tolist() * 40)
    with open(path, "a", encoding="utf-8") as file:
        file.write("not,read,at,all\n")
    monkeypatch.setattr(tables, "LINES", 100)
    monkeypatch.setattr(tables, "machine_memory", lambda: 8 * 1200 * 4)
    assert "GiB of memory" in refusal(path, scale="none")

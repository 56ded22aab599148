"""What the files of a run may hold: the limits of single entries."""

import pytest

from shared.machine.checks import UsageError
from shared.run.schemas import DataEntry, Metric, checked

DATA = {
    "name": "own",
    "source": "own.npz",
    "n_train": 2,
    "n_test": 1,
    "image_shape": [4, 4],
    "sha256": {},
}
METRIC = {"value": 1.0, "unit": "nats per image", "step": 1}


def refused(values, schema, message):
    with pytest.raises(UsageError) as error:
        checked(values, schema)
    assert message in str(error.value)


@pytest.mark.parametrize("shape", [[16], [4, 4], [4, 4, 3]])
def test_an_image_has_one_to_three_sizes(shape):
    assert checked({**DATA, "image_shape": shape}, DataEntry).image_shape == shape


@pytest.mark.parametrize("shape", [[], [4, 4, 3, 1], [0, 4]])
def test_other_shapes_are_refused(shape):
    refused({**DATA, "image_shape": shape}, DataEntry, "image_shape")


@pytest.mark.parametrize("x", ["grey", "binary", "numbers"])
def test_pixels_are_grey_or_binary_or_numbers(x):
    assert checked({**METRIC, "x": x}, Metric).x == x


def test_other_pixels_are_refused():
    refused({**METRIC, "x": "BINARY"}, Metric, "Invalid enum value 'BINARY'")


def test_what_is_said_about_own_data_may_be_missing_and_is_checked():
    scaling = {"scale": "minmax", "shift": [0.0], "width": [1.5], "low": [0.0], "high": [1.5]}
    more = {"understood": "own: …", "classes": ["a"], "columns": ["b"], "scaling": scaling}
    reading = {"image_size": [4, 4], "scale": "minmax", "label_column": "y"}
    checked({**DATA, **more, "reading": reading}, DataEntry)
    checked({**DATA, "reading": {}}, DataEntry)
    for name, bad in (
        ("reading", {"image_size": [4]}),
        ("classes", [1]),
        ("columns", "b"),
        ("scaling", {**scaling, "scale": "max"}),
        ("scaling", {"scale": "none"}),
    ):
        refused({**DATA, name: bad}, DataEntry, f"$.{name}")


@pytest.mark.parametrize(("schema", "values"), [(DataEntry, DATA), (Metric, METRIC)])
def test_every_other_entry_may_be_missing(schema, values):
    checked(values, schema)
    for name in values:
        rest = {other: value for other, value in values.items() if other != name}
        refused(rest, schema, f"missing required field `{name}`")

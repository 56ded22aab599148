"""Folders of PNG and JPEG files: labels, parts, colours, sizes, and refusals that name the file."""

import numpy as np
import pytest
from PIL import Image

from shared.data import folders, load_data
from shared.machine.checks import UsageError

RANDOM = np.random.RandomState(0)
GREY = RANDOM.randint(0, 256, (12, 5, 4), np.uint8)
RGB = RANDOM.randint(0, 256, (12, 5, 4, 3), np.uint8)


def save(path, pixels, **options):
    """Writes an image, and the folders that it needs; a picture may be given for pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **options)


def write(folder, labels=("b", "a"), images=GREY):
    """Writes images, six per label, or all of them into one folder."""
    for number, pixels in enumerate(images):
        save(folder / (labels[number // 6] if labels else "") / f"{number:02d}.png", pixels)
    return str(folder)


def pairs(data):
    """The set of (pixels as bytes, name of the class) in both parts of data."""
    parts = ((data.x_train, data.y_train), (data.x_test, data.y_test))
    return {
        (np.round(image * 255).astype(np.uint8).tobytes(), name)
        for x, y in parts
        for image, name in zip(x, [None] * len(x) if y is None else data.names_of(y), strict=True)
    }


def refusal(path, **options):
    with pytest.raises(UsageError) as error:
        load_data(str(path), **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("images", [GREY, RGB], ids=["grey", "RGB"])
def test_sub_folders_are_labels_and_every_pixel_is_kept(tmp_path, images):
    data = load_data(write(tmp_path / "photos", images=images))
    assert data.classes == ("a", "b") and data.image_shape == images.shape[1:]
    assert (data.n_train, data.n_test) == (10, 2)
    # 0 … 5 were written to b, and the others to a.
    assert pairs(data) == {(x.tobytes(), "ba"[n // 6]) for n, x in enumerate(images)}
    kind = "grey" if images.ndim == 3 else "RGB"
    assert data.understood == (
        f"photos: 12 {kind} images of 5 × 4, 2 classes from folder names, 80/20 split by seed 0"
    )


def test_a_folder_without_sub_folders_has_no_labels(tmp_path):
    data = load_data(write(tmp_path / "flat", labels=None))
    assert data.y_train is None and data.y_test is None and data.classes is None
    assert pairs(data) == {(x.tobytes(), None) for x in GREY}
    assert "no labels" in data.understood


@pytest.mark.parametrize("labels", [("cat", "dog"), None])
def test_train_test_and_valid_are_parts(tmp_path, labels):
    images = {"train": GREY[:7], "test": GREY[7:10], "valid": GREY[10:]}
    for part, x in images.items():
        for n, pixels in enumerate(x):
            place = tmp_path / part / labels[n % 2] if labels else tmp_path / part
            save(place / f"{n}.png", pixels)
    data = load_data(str(tmp_path))
    read = {"train": data.x_train, "test": data.x_test, "valid": data.x_valid}
    for part, x in images.items():
        expected = {image.tobytes() for image in x}
        assert {
            np.round(image * 255).astype(np.uint8).tobytes() for image in read[part]
        } == expected
    assert data.classes == labels
    if labels:
        assert np.bincount(data.y_train).tolist() == [4, 3]


def test_what_is_read_is_the_same_every_time(tmp_path):
    path = write(tmp_path / "photos")
    first, second = load_data(path), load_data(path)
    assert first.sha256 == second.sha256 and first.describe() == second.describe()
    assert (first.x_train == second.x_train).all() and (first.y_test == second.y_test).all()


def test_images_are_grey_only_if_every_file_is(tmp_path):
    # Written as RGB, with equal colours, it is grey.
    save(tmp_path / "one" / "a.png", np.repeat(GREY[0][..., None], 3, axis=2))
    save(tmp_path / "one" / "b.png", GREY[1])
    data = load_data(str(tmp_path / "one"))
    assert data.image_shape == (5, 4)
    assert pairs(data) == {(GREY[n].tobytes(), None) for n in (0, 1)}
    save(tmp_path / "one" / "c.png", RGB[0])  # the last of them
    data = load_data(str(tmp_path / "one"))
    assert data.image_shape == (5, 4, 3)
    grey = [np.repeat(GREY[n][..., None], 3, axis=2).tobytes() for n in (0, 1)]
    assert pairs(data) == {(x, None) for x in (*grey, RGB[0].tobytes())}


def test_every_kind_of_png_has_the_pixels_that_it_shows(tmp_path):
    alpha = np.zeros((5, 4), np.uint8)
    alpha[1:3] = 255
    over_black = np.where(alpha[..., None] == 255, RGB[0], 0)
    palette = Image.fromarray(RGB[1] // 128 * 255).quantize(8)
    sixteen = GREY[2].astype(np.uint16) * 257
    kinds = {
        "alpha": (np.dstack([RGB[0], alpha]), over_black),
        "palette": (palette, np.asarray(palette.convert("RGB"))),
        "sixteen": (sixteen, GREY[2]),
        "grey-alpha": (np.dstack([GREY[3], alpha]), np.where(alpha == 255, GREY[3], 0)),
        "bits": (GREY[4] > 127, (GREY[4] > 127).astype(np.uint8) * 255),
    }
    for name, (content, expected) in kinds.items():
        for number in range(2):
            save(tmp_path / name / f"{number}.png", content)
        x = load_data(str(tmp_path / name)).x_test
        np.testing.assert_array_equal(np.round(x * 255).reshape(expected.shape), expected, name)


def test_a_photo_is_turned_as_its_entry_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter to the left: rows are shown from the right
    for name in "ab":
        save(tmp_path / f"{name}.png", GREY[0], exif=exif)
    data = load_data(str(tmp_path))
    assert data.image_shape == (4, 5)
    shown = np.rot90(GREY[0], -1)
    np.testing.assert_array_equal(np.round(data.x_test[0] * 255).reshape(4, 5), shown)


def test_images_are_resized_to_rows_and_columns(tmp_path):
    for number, size in enumerate([(8, 6), (4, 30), (3, 2)]):
        pixels = np.zeros((*size, 3), np.uint8)
        pixels[: size[0] // 2] = 40 * number + 10, 0, 200  # the upper half has a colour
        pixels[size[0] // 2 :] = 0, 90, 0
        save(tmp_path / f"{number}.png", pixels)
    data = load_data(str(tmp_path), image_size=(4, 2))
    assert data.image_shape == (4, 2, 3) and data.reading == {"image_size": [4, 2]}
    assert load_data(str(tmp_path), image_size=6).image_shape == (6, 6, 3)
    images = np.concatenate([data.x_train, data.x_test]).reshape(3, 4, 2, 3)
    # The outer rows have one colour only, in whatever size it was.
    assert (images[:, 0, :, 2] == np.float32(200) / np.float32(255)).all()
    assert (images[:, 3, :, 1] == np.float32(90) / np.float32(255)).all()
    assert (images[:, :, 0] == images[:, :, 1]).all()  # equal columns stay equal


def test_another_size_is_refused_with_the_file_and_the_flag(tmp_path):
    write(tmp_path / "photos")
    save(tmp_path / "photos" / "a" / "07.png", GREY[0][:4])
    message = refusal(tmp_path / "photos")
    path = tmp_path / "photos"
    # In the order of reading, a comes first.
    assert message.startswith(
        f"{path / 'a' / '07.png'} has 4 × 4 pixels and {path / 'a' / '06.png'} has 5 × 4"
    )
    assert message.endswith("give --image-size 5 4")
    for bad in (0, (3, 4, 5), (), "12", (1.5, 2)):
        assert "image_size" in refusal(tmp_path / "photos", image_size=bad)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("kept", [0.0, 0.6])
def test_a_broken_file_is_named(tmp_path, suffix, kept):
    big = RANDOM.randint(0, 256, (64, 64, 3), np.uint8)
    for name in "abc":
        save(tmp_path / "x" / f"{name}.{suffix}", big)
    broken = tmp_path / "x" / f"b.{suffix}"
    content = broken.read_bytes()
    broken.write_bytes(content[: int(kept * len(content))])
    message = refusal(tmp_path / "x")
    assert message.startswith(f"cannot read {broken}: ") and "PNG or JPEG" in message


def test_other_files_are_ignored_and_told(tmp_path):
    path = tmp_path / "photos"
    write(path)
    clean = load_data(str(path))
    for name in (".DS_Store", "a/.hidden.png", ".cache/x.png"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("no image", encoding="utf-8")
    assert load_data(str(path)).describe() == clean.describe()
    (path / "a" / "notes.txt").write_text("no image", encoding="utf-8")
    (path / "readme.md").write_text("no image", encoding="utf-8")
    data = load_data(str(path))
    assert data.sha256 == clean.sha256
    assert data.understood.endswith("without readme.md and 1 more, no image by its suffix")


def test_a_folder_that_is_arranged_otherwise_is_refused(tmp_path):
    write(tmp_path / "mixed")
    save(tmp_path / "mixed" / "top.png", GREY[0])
    assert "holds top.png beside the sub-folder a" in refusal(tmp_path / "mixed")
    write(tmp_path / "deep" / "images")
    assert "holds the folder a" in refusal(tmp_path / "deep")
    assert f"give --data {tmp_path / 'deep' / 'images'}" in refusal(tmp_path / "deep")
    write(tmp_path / "hollow")
    (tmp_path / "hollow" / "c").mkdir()
    assert "holds no images" in refusal(tmp_path / "hollow")
    write(tmp_path / "half" / "train")
    write(tmp_path / "half" / "test", labels=None)
    assert "train has sub-folders, which are labels, and test has none" in refusal(
        tmp_path / "half"
    )
    write(tmp_path / "extra" / "train")
    write(tmp_path / "extra" / "test")
    write(tmp_path / "extra" / "other")
    assert "holds other beside train and test" in refusal(tmp_path / "extra")
    save(tmp_path / "single" / "a.png", GREY[0])
    assert "no test set and 1 image(s)" in refusal(tmp_path / "single")
    assert "is a single image" in refusal(tmp_path / "single" / "a.png")
    (tmp_path / "empty").mkdir()
    assert "lacks x_train-00000.npy" in refusal(tmp_path / "empty")


def test_images_that_do_not_fit_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = write(tmp_path / "photos")
    monkeypatch.setattr(folders, "machine_memory", lambda: 12 * 20 - 1)
    (tmp_path / "photos" / "b" / "05.png").write_bytes(b"the last file, which is not read")
    assert "12 images, together" in refusal(path)


def test_an_option_of_another_form_is_refused(tmp_path):
    path = write(tmp_path / "photos")
    assert "--label-column is for a CSV" in refusal(path, label_column="y")
    np.save(tmp_path / "x.npy", GREY)
    assert "--image-size is for a folder of PNG" in refusal(tmp_path / "x.npy", image_size=4)
    for name in ("mnist-5k", "auto", "mnist"):
        assert "--image-size is for own data" in refusal(name, image_size=4)

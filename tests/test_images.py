import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from src.data_loader import load_dataset, save_dataset
from src.images import TURNS, load_image_folder, prepare_images
from src.utils import WriteError

MODES = "L LA PA P RGB RGBA RGBa RGBX CMYK YCbCr HSV LAB I F I;16 I;16B".split()
RAMP = np.arange(4096).reshape(64, 64)  # its mean is half of its range


@pytest.fixture
def picture():
    """A photograph's shape with a red square of 60 x 60 in its middle, black beside it."""
    image = np.zeros((60, 101, 3), np.uint8)
    image[:, 20:80] = (255, 0, 0)
    return Image.fromarray(image)


def photograph():
    """Two different gradients and a corner, so that every turn shows."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(60) * 4, np.arange(40)[:, None] * 6
    image[:10, :15, 2] = 255
    return Image.fromarray(image)


def in_mode(mode, array):
    """A grey picture in a mode, made of values 0 to 255."""
    grey = Image.fromarray(array.astype(np.uint8))
    if mode == "F":
        return Image.fromarray((array / 255).astype(np.float32))
    if mode.startswith("I;16"):
        return Image.frombytes(mode, grey.size, (257 * array).astype(">u2" if mode == "I;16B" else "<u2").tobytes())
    if mode == "RGBa":
        return grey.convert("RGBA").convert("RGBa")
    return grey.convert(mode) if mode not in ("LAB", "HSV") else grey.convert("RGB").convert(mode)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MODES), st.integers(1, 70), st.integers(1, 70), st.integers(0, 255))
def test_grey_stays_the_same_grey_in_every_mode_and_size(mode, width, height, value):
    (image,) = prepare_images(in_mode(mode, np.full((height, width), value)))
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8
    assert np.abs(image.astype(int) - value).max() <= (2 if mode == "LAB" else 0)


def test_black_and_white_is_spread_over_all_levels():
    halves = np.repeat([0, 255], 32)[None].repeat(64, 0).astype(np.uint8)
    assert np.array_equal(prepare_images(Image.fromarray(halves).convert("1")), prepare_images(halves))


@pytest.mark.parametrize(
    ("name", "mode", "dtype"),
    [
        ("16.png", "I;16", "<u2"),
        ("16.tif", "I;16", "<u2"),
        ("16b.tif", "I;16B", ">u2"),
        ("16.pgm", "I;16", "<u2"),  # which Pillow reads in mode I
        ("32.tif", "I", "<i4"),
        ("float.tif", "F", "<f4"),
        ("float.pfm", "F", "<f4"),
    ],
)
def test_files_of_more_than_8_bits_are_brought_to_8_by_their_range(tmp_path, name, mode, dtype):
    values = RAMP / 4095 * (1 if mode == "F" else 65535)
    values = values if mode == "F" else np.rint(values)
    Image.frombytes(mode, (64, 64), values.astype(dtype).tobytes()).save(tmp_path / name)
    expected = prepare_images((RAMP / 4095).astype(np.float32))
    assert np.abs(prepare_images(tmp_path / name).astype(int) - expected).max() <= 1
    assert prepare_images(tmp_path / name).mean() == pytest.approx(127.5, abs=0.2)


def test_a_dark_file_of_16_bits_stays_dark(tmp_path):
    Image.frombytes("I;16", (8, 8), np.full(64, 200, "<u2").tobytes()).save(tmp_path / "dark.pgm")
    assert Image.open(tmp_path / "dark.pgm").mode == "I" and prepare_images(tmp_path / "dark.pgm").max() == 1


@pytest.mark.parametrize(
    ("mode", "value", "limit"),
    [("I", 65536, 65535), ("I", -1, 255), ("F", 255, 1), ("F", -0.1, 1), ("F", float("nan"), 1)],
)
def test_values_beyond_the_range_of_a_mode_are_refused_by_its_name(mode, value, limit):
    with pytest.raises(
        ValueError, match=f"image 1 of 1 cannot be used: in mode {mode} .* must lie in 0 to {limit}, not"
    ):
        prepare_images(Image.new(mode, (8, 8), value))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white(mode):
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 20, 40, 40))
    if mode == "P":
        clear = Image.fromarray((np.asarray(clear)[..., 3] > 0).astype(np.uint8)).convert("P")
        clear.putpalette([9, 9, 9, 0, 0, 0])
        clear.info["transparency"] = b"\x00\xff"
    (image,) = prepare_images(clear if mode == "P" else clear.convert(mode))
    assert image[:14].min() > 245 and image[-14:].max() < 10


def test_the_middle_square_is_what_is_seen(picture):
    assert (prepare_images(picture) == (255, 0, 0)).all()


def test_every_form_of_the_same_image_is_the_same(picture, tmp_path):
    array = np.asarray(picture)
    picture.save(tmp_path / "red.png")
    forms = [picture, array, array / 255, tmp_path / "red.png", str(tmp_path / "red.png"), picture.convert("RGBA")]
    assert all(np.array_equal(prepare_images(form), prepare_images(picture)) for form in forms)
    assert np.array_equal(prepare_images(forms), np.concatenate([prepare_images(picture)] * len(forms)))
    assert len(prepare_images(np.stack([array, array]))) == 2
    assert len(prepare_images((array, np.zeros((50, 40), np.uint8)))) == 2


def test_images_of_the_data_set_stay_as_they_are(tiny):
    assert np.array_equal(prepare_images(tiny.x_test), tiny.x_test)


def exif(orientation):
    """EXIF data with an orientation and a resolution that is a text, which Pillow's own `exif_transpose` cannot rewrite."""
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack("<HHI4s", 0x011A, 2, 4, b"300\0")
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 10))
def test_a_photograph_is_turned_upright(tmp_path, orientation, suffix):
    back = {**dict(enumerate(TURNS, 2)), 6: "ROTATE_90", 8: "ROTATE_270"}.get(orientation)
    turned = photograph().transpose(Image.Transpose[back]) if back else photograph()
    data = Image.Exif()
    data[0x0112] = orientation
    turned.save(tmp_path / f"turned.{suffix}", exif=data if suffix == "tif" else exif(orientation), quality=100)
    expected = prepare_images(photograph()).astype(int)
    assert np.abs(prepare_images(tmp_path / f"turned.{suffix}") - expected).mean() < 3


@pytest.mark.parametrize(("numerator", "denominator", "turn"), [(6, 1, "ROTATE_90"), (1, 1, None), (6, 0, None)])
def test_an_orientation_as_a_fraction_is_understood_or_passed_over(tmp_path, numerator, denominator, turn):
    entry = struct.pack("<HHII", 0x0112, 5, 1, 26) + bytes(4) + struct.pack("<II", numerator, denominator)
    turned = photograph().transpose(Image.Transpose[turn]) if turn else photograph()
    (tmp_path / "cat").mkdir()
    for file in ("1.png", "2.png"):
        turned.save(tmp_path / "cat" / file, exif=b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry)
    Image.new("L", (32, 32)).save(tmp_path / "cat" / "3.png")
    assert np.array_equal(prepare_images(tmp_path / "cat" / "1.png"), prepare_images(photograph()))
    assert len(load_image_folder(tmp_path).x_train) == 2


def test_a_photograph_with_damaged_exif_data_is_taken_as_it_is(tmp_path):
    photograph().save(tmp_path / "odd.png", exif=b"Exif\0\0II*\0" + struct.pack("<IHHH", 8, 9, 0x0112, 3))
    assert np.array_equal(prepare_images(tmp_path / "odd.png"), prepare_images(photograph()))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


DAMAGES = {  # from a whole file, a PNG unless its name says JPEG
    "text": lambda whole: b"not a picture",
    "nothing": lambda whole: b"",
    "truncated PNG": lambda whole: whole[: len(whole) // 2],
    "truncated JPEG": lambda whole: whole[: len(whole) // 2],
    "short gAMA": lambda whole: whole[:33] + chunk(b"gAMA", b"\0\1") + whole[33:],
    "late short gAMA": lambda whole: whole[:-12] + chunk(b"gAMA", b"\0\1") + whole[-12:],
    "bad profile": lambda whole: whole[:33] + chunk(b"iCCP", b"name\0\7garbage") + whole[33:],
    "late bad profile": lambda whole: whole[:-12] + chunk(b"iCCP", b"name\0\7garbage") + whole[-12:],
    "much text": lambda whole: whole[:33] + chunk(b"zTXt", b"name\0\0" + zlib.compress(bytes(2**21))) + whole[33:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_by_its_name(tmp_path, damage):
    photograph().save(tmp_path / "whole", "jpeg" if "JPEG" in damage else "png")
    (tmp_path / "odd").write_bytes(DAMAGES[damage]((tmp_path / "whole").read_bytes()))
    for images in (tmp_path / "odd", [str(tmp_path / "whole"), str(tmp_path / "odd")]):
        with pytest.raises(ValueError, match=r"/odd cannot be used: .+"):
            prepare_images(images)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["png", "jpeg", "tiff", "gif", "webp", "ppm"]), st.integers(0, 5000), st.integers(0, 255))
def test_a_file_with_a_wrong_byte_is_read_or_refused_by_its_name(tmp_path_factory, kind, position, byte):
    path = tmp_path_factory.mktemp("fuzz") / "fuzzed"
    photograph().save(path, kind)
    content = bytearray(path.read_bytes())
    content[position % len(content)] = byte
    path.write_bytes(content)
    try:
        assert prepare_images(path).shape == (1, 32, 32, 3)
    except ValueError as error:
        assert str(error).startswith(f"{path} cannot be used: ")


def test_a_picture_over_pillows_limit_is_refused_by_its_name(tmp_path, monkeypatch):
    photograph().save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"large.png cannot be used: Image size .* exceeds limit"):
        prepare_images(tmp_path / "large.png")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("nowhere.jpg", "nowhere.jpg cannot be used: .*No such file"),
        (np.zeros((8, 8, 4), np.uint8), r"image 2 of 2 .* not uint8 \(8, 8, 4\)"),
        (np.zeros((8, 8, 3), np.int64), r"image 2 of 2 .* not int64 \(8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), "image 2 of 2 cannot be used: "),
        (np.zeros((0, 8, 3)), "image 2 of 2 cannot be used: "),
        (Image.new("RGB", (0, 5)), "image 2 of 2 cannot be used: it has no pixels"),
        (np.full((8, 8, 3), 2.0), r"image 2 of 2 .* float images must lie in \[0, 1\]"),
        (np.full((8, 8, 3), np.nan), r"image 2 of 2 .* float images must lie in \[0, 1\]"),
        (None, "image 2 of 2 .* not NoneType"),
    ],
)
def test_what_is_no_image_is_refused_by_its_place(image, message):
    with pytest.raises(ValueError, match=message):
        prepare_images([photograph(), image])


@pytest.mark.parametrize("images", [[], (), np.zeros((0, 8, 8, 3), np.uint8)])
def test_no_image_is_refused(images):
    with pytest.raises(ValueError, match="there is no image"):
        prepare_images(images)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures memory as Linux does")
def test_one_photograph_at_a_time_is_in_memory(tmp_path):
    Image.effect_noise((1000, 750), 50).resize((4000, 3000)).convert("RGB").save(tmp_path / "12_megapixels.jpg")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    prepare_images([tmp_path / "12_megapixels.jpg"] * 6)
    assert memory("VmHWM") - before < 200e6  # all six take 288 MB at once


def memory(name):
    """What Linux says of the memory of this process, in bytes."""
    return 1024 * int(Path("/proc/self/status").read_text().partition(f"{name}:")[2].split()[0])


@pytest.fixture
def folder(tmp_path):
    """Pictures of three colours, ten each, in folders of their names; their brightness is their number."""
    for colour, channel in {"red": 0, "green": 1, "blue": 2}.items():
        (tmp_path / "pictures" / colour).mkdir(parents=True)
        for number in range(10):
            picture = np.zeros((40, 50, 3), np.uint8)
            picture[..., channel] = 100 + 10 * number
            Image.fromarray(picture).save(tmp_path / "pictures" / colour / f"{number}.png")
    return tmp_path / "pictures"


def test_a_folder_of_pictures_is_a_data_set(folder):
    dataset = load_image_folder(folder)
    assert (dataset.name, dataset.classes) == ("pictures", ("blue", "green", "red"))
    assert len(dataset.x_train) == 24 and len(dataset.x_test) == 6
    for part in ("train", "test"):
        images, labels = getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")
        assert (images.sum((1, 2)).argmax(1) == 2 - labels).all()  # blue is the last channel and the first class
    assert np.bincount(dataset.y_test).tolist() == [2, 2, 2]
    assert load_image_folder(folder).fingerprint == dataset.fingerprint
    assert len({*dataset.split("validation")[1]}) > 1 or len(dataset.split("validation")[1]) < 3


def test_a_folder_with_parts_of_its_own_is_split_as_they_say(folder):
    for part, numbers in (("train", range(7)), ("test", range(7, 10))):
        for colour in ("red", "green", "blue"):
            (folder / part / colour).mkdir(parents=True)
            for number in numbers:
                (folder / colour / f"{number}.png").rename(folder / part / colour / f"{number}.png")
    dataset = load_image_folder(folder, "colours")
    assert dataset.name == "colours" and len(dataset.x_train) == 21
    assert sorted(dataset.x_test.max((1, 2, 3))) == sorted(3 * [170, 180, 190])
    (folder / "test" / "red").rename(folder / "test" / "pink")
    with pytest.raises(ValueError, match=r"the classes of test, .*pink.*must be those of train"):
        load_image_folder(folder)


def grey(folder, value, files=("1.png", "2.png")):
    """Pictures of one grey value."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        Image.new("L", (32, 32), value).save(folder / file, None if Path(file).suffix else "png")
        value += 1


@pytest.mark.parametrize(
    ("train", "test"), [("train", "val"), ("Train", "Test"), ("training", "TESTING"), ("TRAIN", "valid")]
)
def test_folders_of_parts_are_understood_by_any_of_their_names(tmp_path, train, test):
    for position, (part, value) in enumerate([(train, 10), (test, 100)]):
        grey(tmp_path / part / "cat", value)
        grey(tmp_path / part / "dog", value + 50 + position)
    dataset = load_image_folder(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert sorted(zip(dataset.x_train.max((1, 2, 3)), dataset.y_train, strict=True)) == [
        (10, 0),
        (11, 0),
        (60, 1),
        (61, 1),
    ]
    assert dataset.x_test.max((1, 2, 3)).tolist() == [100, 101, 151, 152] and dataset.y_test.tolist() == [0, 0, 1, 1]
    assert f"{train}/ for training" in dataset.source and f"{test}/ for testing" in dataset.source


def test_a_validation_folder_beside_a_test_folder_comes_last_of_the_training_images(tmp_path):
    for part, value, count in (("train", 10, 9), ("Validation", 100, 1), ("test", 200, 3)):
        for label, name in enumerate(("cat", "dog")):
            grey(tmp_path / part / name, value + 20 * label, [f"{i}.png" for i in range(count)])
    dataset = load_image_folder(tmp_path)
    assert len(dataset.x_train) == 20 and sorted(dataset.x_test.max((1, 2, 3))) == [200, 201, 202, 220, 221, 222]
    images, labels = dataset.split("validation")
    assert sorted(zip(images.max((1, 2, 3)), labels, strict=True)) == [(100, 0), (120, 1)]
    assert "Validation/ last of the training images" in dataset.source


def test_two_folders_for_one_part_are_refused(tmp_path):
    for part in ("train", "val", "valid"):
        grey(tmp_path / part / "cat", 1)
    with pytest.raises(ValueError, match="has both val and valid"):
        load_image_folder(tmp_path)


def test_one_folder_level_too_many_is_refused(folder):
    folder.rename(folder.parent / "train")  # and neither test nor val beside it
    with pytest.raises(
        ValueError, match=r"/train holds folders only and no pictures: there is one folder level too many"
    ):
        load_image_folder(folder.parent)


def test_a_small_class_has_one_test_image_beside_a_large_one(tmp_path):
    grey(tmp_path / "few", 200)
    grey(tmp_path / "many", 0, [f"{i}.png" for i in range(100)])
    dataset = load_image_folder(tmp_path)
    assert np.bincount(dataset.y_test).tolist() == [1, 20] and np.bincount(dataset.y_train).tolist() == [1, 80]
    values = np.concatenate([dataset.x_train, dataset.x_test]).max((1, 2, 3))
    assert sorted(values) == [*range(100), 200, 201]
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    assert np.array_equal(values >= 200, labels == 0)


def test_every_kind_of_picture_is_taken_and_other_files_are_counted(tmp_path):
    kinds = ["1.png", "2.gif", "3.jfif", "4.jp2", "5.avif", "no_extension", "6.JPG", "7.webp"]
    kinds = [kind for kind in kinds if kind[-4:] not in MISSING]
    grey(tmp_path / "cat", 100, kinds)
    grey(tmp_path / "cat" / "more", 150)
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / "cat" / "more" / "data").write_text("no picture")
    (tmp_path / "labels.csv").write_text("no picture")
    with pytest.warns(
        UserWarning, match=r": 3 files are no pictures of a class: data, labels.csv, notes.txt$"
    ) as caught:
        dataset = load_image_folder(tmp_path)
    assert len(caught) == 1 and dataset.classes == ("cat",)
    values = sorted(np.concatenate([dataset.x_train, dataset.x_test]).mean((1, 2, 3)))
    expected = [*range(100, 100 + len(kinds)), 150, 151]
    assert np.abs(np.array(values) - expected).max() <= 2


MISSING = [f".{kind}"[-4:] for kind in ("avif", "jp2") if not features.check({"jp2": "jpg_2000"}.get(kind, kind))]


def test_hidden_files_and_folders_are_no_pictures_and_no_classes(folder):
    whole = load_image_folder(folder)
    for hidden in (".ipynb_checkpoints", "@eaDir", "__MACOSX", "red/@eaDir", "red/.thumbnails"):
        grey(folder / hidden, 77)
    grey(folder / "red", 77, ["._x.png", ".hidden.png"])
    dataset = load_image_folder(folder)
    assert dataset.fingerprint == whole.fingerprint and dataset.classes == whole.classes


def test_the_home_folder_is_understood(folder, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(folder.parent))
    assert load_image_folder("~/pictures").fingerprint == load_image_folder(folder).fingerprint
    assert np.array_equal(prepare_images("~/pictures/red/3.png"), prepare_images(folder / "red" / "3.png"))


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(ValueError, match="must have a folder of pictures for each class"):
        load_image_folder(tmp_path / "empty")
    with pytest.raises(ValueError, match="must have a folder of pictures for each class"):
        load_image_folder(tmp_path / "nowhere")
    (tmp_path / "empty" / "cat" / "1.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"1\.png cannot be used"):
        load_image_folder(tmp_path / "empty")


def test_a_class_of_one_picture_is_refused_by_its_name(folder):
    for number in range(1, 10):
        (folder / "green" / f"{number}.png").unlink()
    with pytest.raises(ValueError, match="green must have two pictures or more"):
        load_image_folder(folder)


def test_few_pictures_of_many_classes_are_split_with_every_class_in_both_parts(folder):
    for colour in ("red", "green", "blue"):
        for number in range(2, 10):
            (folder / colour / f"{number}.png").unlink()
    dataset = load_image_folder(folder)
    assert sorted(dataset.y_train) == sorted(dataset.y_test) == [0, 1, 2]


def test_what_was_kept_before_is_there_where_the_new_cannot_take_its_place(folder, tmp_path, monkeypatch):
    dataset, rename = load_image_folder(folder, "colours"), Path.rename
    save_dataset(dataset, tmp_path / "data")

    def refuse(self, target):
        if self.parent.name.startswith(".colours-"):  # the new data on their way
            raise OSError("no")
        return rename(self, target)

    (folder / "red" / "1.png").unlink()
    with monkeypatch.context() as patch, pytest.raises(WriteError, match="nothing has changed"):
        patch.setattr(Path, "rename", refuse)
        save_dataset(load_image_folder(folder, "colours"), tmp_path / "data", overwrite=True)
    assert load_dataset("colours", tmp_path / "data").fingerprint == dataset.fingerprint
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["colours"]


def test_it_is_found_by_its_name_once_it_is_kept(folder, tmp_path):
    dataset = load_image_folder(folder, "colours")
    save_dataset(dataset, tmp_path / "data")
    found = load_dataset("colours", tmp_path / "data")
    assert found.fingerprint == dataset.fingerprint and found.classes == dataset.classes
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["colours"]
    save_dataset(dataset, tmp_path / "data")  # once more does nothing
    (folder / "red" / "1.png").unlink()
    with pytest.raises(ValueError, match="colours has something else; give the data set another name"):
        save_dataset(load_image_folder(folder, "colours"), tmp_path / "data")
    fewer = load_image_folder(folder, "colours")
    save_dataset(fewer, tmp_path / "data", overwrite=True)
    assert load_dataset("colours", tmp_path / "data").fingerprint == fewer.fingerprint
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["colours"]
    with pytest.raises(ValueError, match="colours has superclasses, which are not kept"):
        save_dataset(replace(fewer, superclasses=("all",), superclass_of=(0, 0, 0)), tmp_path / "data", overwrite=True)
    (tmp_path / "data" / "mine").mkdir()
    with pytest.raises(ValueError, match="mine has something else"):  # which is no data set
        save_dataset(load_image_folder(folder, "mine"), tmp_path / "data", overwrite=True)
    for name in ("CIFAR10", "sample", "a/b", ".."):
        with pytest.raises(ValueError, match="cannot be its name"):
            save_dataset(load_image_folder(folder, name), tmp_path / "data")
    with pytest.raises(
        ValueError, match="unknown data set 'other': choose one of CIFAR10, CIFAR100, colours, or make it"
    ):
        load_dataset("other", tmp_path / "data")

import shutil
from dataclasses import replace

import numpy as np
import pytest

from data.make_sample import save_sample
from src import data_loader
from src.data_loader import DataUnavailableError, ImageDataset, class_names, load_dataset, load_datasets, save_dataset
from src.download import ARRAYS
from src.utils import WriteError


def place(dataset, folder):
    folder.mkdir(parents=True)
    for key in ARRAYS:
        np.save(folder / f"{key}.npy", getattr(dataset, key))


@pytest.mark.parametrize(("name", "classes", "superclasses"), [("CIFAR10", 10, 0), ("CIFAR100", 100, 20)])
def test_placed_arrays_are_mapped_and_come_with_their_names(name, classes, superclasses, tmp_path, request):
    tiny = request.getfixturevalue("tiny" if name == "CIFAR10" else "tiny100")
    place(tiny, tmp_path / name)
    dataset = load_dataset(name, data_dir=tmp_path)
    assert isinstance(dataset.x_train, np.memmap) and np.array_equal(dataset.x_train, tiny.x_train)
    assert len(set(dataset.classes)) == classes and len(set(dataset.superclasses)) == superclasses
    assert not dataset.is_sample and name in dataset.source
    counts = np.bincount(dataset.superclass_of, minlength=superclasses)
    assert (counts == 5).all()


def test_some_classes_have_the_superclass_that_everyone_knows(tiny100):
    pairs = [
        ("maple_tree", "trees"),
        ("whale", "aquatic mammals"),
        ("tank", "vehicles 2"),
        ("worm", "non-insect invertebrates"),
    ]
    for fine, coarse in pairs:
        labels, names = tiny100.by_superclass(np.array([tiny100.classes.index(fine)]))
        assert names[labels[0]] == coarse


def test_splits_are_apart_and_complete(tiny):
    train, validation = tiny.split("train"), tiny.split("validation")
    assert (len(train[0]), len(validation[0])) == (180, 20)
    assert np.array_equal(np.concatenate([train[0], validation[0]]), tiny.x_train)
    assert tiny.split("test")[0] is tiny.x_test
    with pytest.raises(ValueError, match="train, validation, test"):
        tiny.split("holdout")


@pytest.mark.parametrize(("name", "train", "test"), [("CIFAR10", 500, 100), ("CIFAR100", 30, 10)])
def test_the_sample_is_balanced_and_says_that_it_is_one(name, train, test):
    sample = load_dataset(name, sample=True)
    assert sample.is_sample and "sample" in sample.source
    assert set(np.bincount(sample.y_train)) == {train} and set(np.bincount(sample.y_test)) == {test}


def test_a_sample_is_kept_without_loss(tmp_path, monkeypatch, tiny):
    monkeypatch.setattr(data_loader, "SAMPLE_DIR", tmp_path)
    save_sample(tmp_path / "CIFAR10.npz", *(getattr(tiny, key) for key in ("x_train", "y_train", "x_test", "y_test")))
    assert load_dataset("CIFAR10", sample=True).fingerprint == tiny.fingerprint


def test_without_data_the_sample_serves_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="SAMPLE"):
        assert load_dataset("CIFAR10", data_dir=tmp_path, download=False).is_sample


def test_without_any_source_one_error_names_all_that_was_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(data_loader, "SAMPLE_DIR", tmp_path)
    with pytest.raises(DataUnavailableError) as error:
        load_dataset("CIFAR100", data_dir=tmp_path, download=False)
    for part in ("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", "x_train.npy", "zenodo", str(tmp_path)):
        assert part in str(error.value)


def test_load_datasets_leaves_out_what_cannot_be_had_and_says_so(tmp_path, monkeypatch):
    assert [*load_datasets(["CIFAR10", "CIFAR100"], sample=True)[0]] == ["CIFAR10", "CIFAR100"]
    shutil.copy(data_loader.SAMPLE_DIR / "CIFAR10.npz", tmp_path)
    monkeypatch.setattr(data_loader, "SAMPLE_DIR", tmp_path)
    datasets, note = load_datasets(["CIFAR10", "CIFAR100"], sample=True)
    assert list(datasets) == ["CIFAR10"] and "CIFAR100 is left out" in note
    assert load_datasets(["CIFAR10"], sample=True)[1] == ""
    for none in (["CIFAR100"], []):
        with pytest.raises(DataUnavailableError):
            load_datasets(none, sample=True)


def test_a_full_data_set_is_not_mixed_with_a_sample(monkeypatch, sample, tiny100):
    loaded = {"CIFAR10": sample, "CIFAR100": tiny100}
    monkeypatch.setattr(data_loader, "load_dataset", lambda name, **how: loaded[name])
    datasets, note = load_datasets(["CIFAR10", "CIFAR100"])
    assert datasets == {"CIFAR100": tiny100} and note == "CIFAR10 is left out: only its embedded SAMPLE is there."
    assert load_datasets(["CIFAR10"])[1] == "CIFAR10 is the embedded SAMPLE, not the full data set."


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="CIFAR10, CIFAR100"):
        load_dataset("MNIST")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": np.zeros((200, 32, 32, 3), np.float32)}, "x_train must be a uint8 array"),
        ({"x_train": np.zeros((200, 3, 32, 32), np.uint8)}, "x_train must be a uint8 array"),
        ({"x_test": np.zeros((0, 32, 32, 3), np.uint8), "y_test": np.zeros(0, int)}, "x_test holds no image"),
        ({"y_train": np.zeros(7, int)}, "7 labels for 200 images"),
        ({"y_train": np.zeros(200)}, "y_train must be an integer array"),
        ({"y_test": np.full(100, 10)}, "must lie in 0 to 9"),
        ({"y_test": np.full(100, -1)}, "must lie in 0 to 9"),
        ({"y_test": (0 for _ in range(100))}, "y_test must be an integer array"),
    ],
)
def test_wrong_arrays_are_refused_by_name(tiny, change, message):
    with pytest.raises(ValueError, match=message):
        replace(tiny, **change)


def test_labels_may_be_a_list(tiny):
    dataset = replace(tiny, y_test=tiny.y_test.tolist())
    assert np.array_equal(dataset.y_test, tiny.y_test) and dataset.fingerprint == tiny.fingerprint


def test_one_training_image_is_too_few(tiny):
    with pytest.raises(ValueError, match="at least two"):
        ImageDataset("one", tiny.x_train[:1], tiny.y_train[:1], tiny.x_test, tiny.y_test, tiny.classes)


@pytest.mark.parametrize("damage", ["missing", "cut", "disagreeing"])
def test_damaged_arrays_on_disk_are_named(tiny, tmp_path, damage):
    folder = tmp_path / "CIFAR10"
    place(tiny, folder)
    if damage == "missing":
        (folder / "y_train.npy").unlink()
    elif damage == "cut":
        content = (folder / "y_train.npy").read_bytes()
        (folder / "y_train.npy").write_bytes(content[: len(content) // 2])
    else:
        np.save(folder / "y_train.npy", tiny.y_train[:50])
    with pytest.raises(ValueError, match="y_train"):
        load_dataset("CIFAR10", data_dir=tmp_path)


@pytest.mark.parametrize("key", ["x_train", "y_test"])
def test_arrays_that_are_not_as_they_were_written_are_refused(tiny, tmp_path, key):
    save_dataset(replace(tiny, name="mine"), tmp_path)
    path = tmp_path / "mine" / f"{key}.npy"
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # one bit of an image, or of a label
    path.write_bytes(content)
    with pytest.raises(ValueError, match="are not as they were written"):
        load_dataset("mine", tmp_path)


def test_a_damaged_data_set_of_ones_own_is_not_to_be_deleted(tiny, tmp_path):
    save_dataset(replace(tiny, name="mine"), tmp_path)
    with pytest.raises(ValueError, match="cannot be its name"):
        save_dataset(replace(tiny, name="cifar10"), tmp_path)  # on some disks the folder of CIFAR10
    (tmp_path / "mine" / "y_train.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"y_train.npy cannot be read .* save_dataset writes them anew elsewhere"):
        load_dataset("mine", tmp_path)


def test_classes_may_be_a_list_and_a_second_saving_does_nothing(tiny, tmp_path):
    mine = replace(tiny, name="mine", classes=list(tiny.classes))
    assert mine.classes == tiny.classes
    save_dataset(mine, tmp_path)
    save_dataset(mine, tmp_path)
    assert load_dataset("mine", tmp_path).classes == tiny.classes


def test_a_data_set_of_ones_own_is_deleted_and_saved_anew(tiny, tmp_path):
    save_dataset(replace(tiny, name="mine"), tmp_path)
    shutil.rmtree(tmp_path / "mine")
    other = replace(tiny, name="mine", x_test=255 - tiny.x_test)
    save_dataset(other, tmp_path)
    assert np.array_equal(load_dataset("mine", tmp_path).x_test, 255 - tiny.x_test)


@pytest.mark.parametrize(
    "name", ["2024", "007", "1e5", "NA", "nan", "NaN", "null", "None", "inf", "True", "_x", "-a", ""]
)
def test_a_name_that_a_table_reads_back_as_something_else_is_refused(tiny, tmp_path, name):
    with pytest.raises(ValueError, match="cannot be its name; take a letter, then"):
        save_dataset(replace(tiny, name=name), tmp_path)
    with pytest.raises(ValueError, match="unknown data set"):
        class_names(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_home_folder_is_understood(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save_dataset(replace(tiny, name="mine"), "~/data")
    assert load_dataset("mine", "~/data").fingerprint == tiny.fingerprint
    assert class_names("mine", "~/data") == tiny.classes
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_where_nothing_can_be_written_one_error_says_so(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file where a folder should be")
    with pytest.raises(WriteError, match="mine could not be written"):
        save_dataset(replace(tiny, name="mine"), tmp_path / "file")
    monkeypatch.setattr(data_loader.np, "save", full)
    with pytest.raises(WriteError, match=r"mine could not be written .*No space left"):
        save_dataset(replace(tiny, name="mine"), tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def full(*args):
    raise OSError(28, "No space left on device")


def test_changing_a_loaded_array_leaves_the_file_as_it_was(tiny, tmp_path):
    place(tiny, tmp_path / "CIFAR10")
    load_dataset("CIFAR10", data_dir=tmp_path).x_train[:] = 0
    assert np.array_equal(np.load(tmp_path / "CIFAR10" / "x_train.npy"), tiny.x_train)


@pytest.mark.real
def test_the_complete_data_are_complete(real):
    assert [len(real.split(part)[0]) for part in ("train", "validation", "test")] == [45_000, 5_000, 10_000]
    assert len(set(np.bincount(real.y_train))) == 1


@pytest.mark.real
def test_the_sample_comes_from_the_complete_data(real):
    sample = load_dataset(real.name, sample=True)
    known = {(image.tobytes(), label) for image, label in zip(real.x_test, real.y_test, strict=True)}
    assert {(image.tobytes(), label) for image, label in zip(sample.x_test, sample.y_test, strict=True)} < known

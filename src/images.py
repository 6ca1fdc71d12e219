"""Images of one's own: brought into the form of the data sets, and folders of them as a data set."""

import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from sklearn.utils import shuffle

from src.data_loader import ImageDataset
from src.utils import as_bytes, describe

SIZE = (32, 32)
# what brings a photograph upright, by its EXIF orientation from 2 on
TURNS = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90".split()
PARTS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "val": "validation", "valid": "validation", "validation": "validation",
}  # fmt: skip
TEST_SHARE = 0.2  # of the images of each class, where a folder has no test images of its own


def load_image_folder(folder, name=None):
    """An ImageDataset of a folder with one subfolder of pictures per class; `name` is the folder's unless given.

    A folder that has `train` and `test`, `val` or both (or `Training`, `validation` ...) is split as they say: `val` comes last
    of the training images, where the validation split is taken from, or is the test split where there is no `test`. Elsewhere a
    fifth of each class, one picture at least, drawn at random but always the same, are test images. `.source` says which.
    Pictures become 32 x 32 as by `prepare_images`. What Pillow knows is a picture; a warning counts the other files. Hidden files
    and folders are passed by. Raises ValueError where there are no pictures, too few of a class to be split, other classes in
    one part than in another, a class folder that holds folders only, or a picture that cannot be read.
    """
    folder, left_out = Path(folder).expanduser(), set()
    parts = _parts(folder, left_out)
    found = {part: _read_folder(path, left_out) for part, path in parts.items()}
    if left_out:
        names = ", ".join(sorted({path.name for path in left_out})[:5])
        warnings.warn(f"{folder}: {len(left_out)} files are no pictures of a class: {names}", stacklevel=2)
    classes = found["train"][2]
    for part, (_, _, other) in found.items():
        if other != classes:
            raise ValueError(f"{folder}: the classes of {parts[part].name}, {other}, must be those of train, {classes}")
    train, test, how = _as_they_say(parts, found) if len(parts) > 1 else _hold_out(folder, *found["train"])
    return ImageDataset(name or folder.resolve().name, *train, *test, classes, source=f"pictures in {folder}; {how}")


def _as_they_say(parts, found):
    """Images and labels for training, those for validation last of them, and for testing; and what was taken for what."""
    held_out = "test" if "test" in parts else "validation"
    used = [part for part in ("train", "validation") if part in parts and part != held_out]
    shuffled = [shuffle(*found[part][:2], random_state=0) for part in used]
    how = f"{parts['train'].name}/ for training, {parts[held_out].name}/ for testing"
    if len(used) > 1:
        how += f", {parts['validation'].name}/ last of the training images, whose last tenth is for validation"
    return [np.concatenate(arrays) for arrays in zip(*shuffled, strict=True)], found[held_out][:2], how


def _hold_out(folder, images, labels, classes):
    """Images and labels for training and for testing: of each class a fifth and one at least, drawn at random; and a note that says so."""
    counts = np.bincount(labels)
    if few := [name for name, count in zip(classes, counts, strict=True) if count < 2]:
        raise ValueError(f"{folder}: {', '.join(few)} must have two pictures or more, one of them for testing")
    order = np.random.default_rng(0).permutation(len(labels))
    sizes = np.maximum(1, np.rint(TEST_SHARE * counts).astype(int))
    test = np.concatenate([order[labels[order] == label][:size] for label, size in enumerate(sizes)])
    train = order[~np.isin(order, test)]
    return (images[train], labels[train]), (images[test], labels[test]), "a fifth of each class for testing"


def _visible(path):
    """Whether a file or folder is the user's, not one that a system, an editor or an archive has hidden there."""
    return path.name[0] not in ".@" and path.name != "__MACOSX"


def _folders(folder, left_out):
    """The visible folders in a folder by their names, in order; files beside them are added to `left_out`."""
    inside = sorted(filter(_visible, folder.iterdir())) if folder.is_dir() else []
    left_out.update(filter(Path.is_file, inside))
    if not (found := {path.name: path for path in inside if path.is_dir()}):
        raise ValueError(f"{folder} must have a folder of pictures for each class; there are no folders")
    return found


def _parts(folder, left_out):
    """The folders of "train", "test" and "validation" where it has them, else itself as "train"."""
    found = {}
    for name, path in _folders(folder, left_out).items():
        part = PARTS.get(name.lower())
        if part in found:
            raise ValueError(f"{folder} has both {found[part].name} and {name}; one of them must go")
        if part:
            found[part] = path
    return found if "train" in found and len(found) > 1 else {"train": folder}


def _read_folder(folder, left_out):
    """Images, labels in ascending order, and names of the classes; files that are no pictures are added to `left_out`."""
    classes, pictures, labels = _folders(folder, left_out), [], []
    for label, path in enumerate(classes.values()):
        files = list(_walk(path))
        found = [file for file in files if _is_picture(file)]
        if not found:
            raise ValueError(f"{folder} must have a folder of pictures for each class; there are none in {path.name}")
        if all(file.parent != path for file in found):
            raise ValueError(f"{path} holds folders only and no pictures: there is one folder level too many")
        left_out.update(set(files) - set(found))
        pictures += found
        labels += [label] * len(found)
    return prepare_images(pictures), np.array(labels), tuple(classes)


def _walk(folder):
    """Every visible file of a folder and of the visible folders in it, in order."""
    for path in sorted(filter(_visible, folder.iterdir())):
        yield from _walk(path) if path.is_dir() else filter(Path.is_file, [path])


def _is_picture(path):
    """Whether a file has the name or the content of a picture that Pillow opens."""
    try:
        Image.open(path).close()
    except UnidentifiedImageError:  # by its name it may be one, and is refused as damaged when it is read
        return Image.EXTENSION.get(path.suffix.lower()) in Image.OPEN
    except Exception:  # whatever a damaged picture leads to
        return True
    return True


def prepare_images(images):
    """Images from anywhere as uint8 (N, 32, 32, 3): the largest square in the middle, resized with an antialiasing filter.

    `images` is one image or a list of images, each a PIL image, the path of an image file, or an array or tensor (H, W),
    (H, W, 3) or (3, H, W), uint8 or float in [0, 1]; or an array or tensor of several, (N, H, W, 3) or (N, 3, H, W). Photographs
    are turned upright as their EXIF orientation says, transparent parts are white. Greyscale of 16 bits (modes I;16 and I) spans 0 to 65,535, of mode F 0 to 1;
    mode I spans 0 to 255 where it comes from no file and has no larger value. A ValueError names the image that is none of
    these or cannot be read.
    """
    images = _channels_last(images)
    several = isinstance(images, (list, tuple)) or (isinstance(images, np.ndarray) and images.ndim == 4)
    images = images if several else [images]
    if len(images) == 0:
        raise ValueError("there is no image; at least one is needed")
    return np.stack([_prepare(image, f"image {i} of {len(images)}") for i, image in enumerate(images, 1)])


def _prepare(image, name):
    """One image as uint8 (32, 32, 3)."""
    try:
        if isinstance(image, (str, Path)):
            name = image
            with Image.open(Path(image).expanduser()) as picture:
                return _middle(picture)
        return _middle(image if isinstance(image, Image.Image) else _from_array(image))
    except Exception as error:  # whatever a damaged file leads to
        raise ValueError(f"{name} cannot be used: {str(error) or type(error).__name__}") from error


def _channels_last(images):
    """A tensor as an array, and an array with its channels last; anything else as it is."""
    if hasattr(images, "detach"):
        images = images.detach().cpu().numpy()
    is_channels_first = (
        isinstance(images, np.ndarray) and images.ndim >= 3 and images.shape[-3] == 3 != images.shape[-1]
    )
    return np.moveaxis(images, -3, -1) if is_channels_first else images


def _from_array(array):
    array = _channels_last(array)
    image = as_bytes(array) if isinstance(array, np.ndarray) else array
    fits = isinstance(image, np.ndarray) and image.dtype == np.uint8
    if not fits or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        wanted = "a PIL image, a path or a uint8 or float array (H, W), (H, W, 3) or (3, H, W)"
        raise ValueError(f"an image must be {wanted}, not {describe(array)}")
    return Image.fromarray(image)


def _middle(picture):
    """The square in the middle of an upright picture, on white, as uint8 (32, 32, 3)."""
    if not min(picture.size):
        raise ValueError("it has no pixels")
    picture.load()
    orientation, picture = _orientation(picture), _eight_bits(picture)
    if orientation in range(2, 9):
        picture = picture.transpose(Image.Transpose[TURNS[orientation - 2]])
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side)).resize(SIZE, Image.Resampling.LANCZOS)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", SIZE, "white"), picture).convert("RGB")
    return np.asarray(picture)


def _orientation(picture):
    """The EXIF orientation alone: Pillow's own `exif_transpose` fails where another tag is odd."""
    try:
        return int(picture.getexif()[ExifTags.Base.Orientation])  # which some write as a fraction
    except Exception:  # there is none, or it is damaged; the picture has been read and is as it should be
        return None


def _eight_bits(picture):
    """A picture of any mode in mode RGB, or RGBA where parts of it are transparent."""
    mode = picture.mode
    if mode != "F" and not mode.startswith("I"):
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    values = np.asarray(picture, np.float32)
    low, high = values.min(), values.max()
    from_eight_bits = mode == "I" and picture.format is None and high <= 255  # as Pillow converts to mode I
    full = 1 if mode == "F" else 255 if from_eight_bits else 65535
    if not (low >= 0 and high <= full):  # written so that NaN fails too
        raise ValueError(f"in mode {mode} the values must lie in 0 to {full}, not in {low:.6g} to {high:.6g}")
    return Image.fromarray(np.rint(values * (255 / full)).astype(np.uint8)).convert("RGB")

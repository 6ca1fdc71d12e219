"""Images of one's own: brought into the form of the data sets, and folders of them as a data set."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from sklearn.model_selection import train_test_split
from sklearn.utils import shuffle

from src.data_loader import ImageDataset
from src.utils import as_bytes, describe

SIZE = (32, 32)
# what brings a photograph upright, by its EXIF orientation from 2 on
TURNS = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90".split()
TEST_SHARE = 0.2  # of the images of each class, where a folder has no test images of its own


def load_image_folder(folder, name=None):
    """An ImageDataset of a folder with a subfolder of pictures a class, as torchvision's ImageFolder takes it.

    A folder that has `train` and `test` is split as they say; elsewhere a fifth of each class, drawn at random but always the
    same, are test images. Pictures become 32 x 32 as by `prepare_images`. `name` is the folder's unless given.
    Raises ValueError where there are no pictures, too few of a class to be split, other classes in `test` than in `train`, or a
    picture that cannot be read.
    """
    folder = Path(folder)
    if all((folder / part).is_dir() for part in ("train", "test")):
        x_train, y_train, classes = _read_folder(folder / "train")
        x_test, y_test, found = _read_folder(folder / "test")
        if found != classes:
            raise ValueError(f"{folder}: the classes of test, {found}, must be those of train, {classes}")
        x_train, y_train = shuffle(x_train, y_train, random_state=0)  # the last of them are for validation
    else:
        images, labels, classes = _read_folder(folder)
        if few := [name for name, count in zip(classes, np.bincount(labels), strict=True) if count < 2]:
            raise ValueError(f"{folder}: {', '.join(few)} must have two pictures or more, one of them for testing")
        held_out = max(len(classes), round(TEST_SHARE * len(images)))
        parts = train_test_split(images, labels, test_size=held_out, stratify=labels, random_state=0)
        x_train, x_test, y_train, y_test = parts
    name = name or folder.resolve().name
    return ImageDataset(name, x_train, y_train, x_test, y_test, classes, source=f"pictures in {folder}")


def _read_folder(folder):
    """Images, labels in ascending order, and names of the classes of a folder as torchvision's ImageFolder takes it."""
    from torchvision.datasets import ImageFolder  # here, because it takes a second

    try:
        found = ImageFolder(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"{folder} must have a folder of pictures for each class: {error}") from error
    paths, labels = zip(*found.samples, strict=True)
    return prepare_images(list(paths)), np.array(labels), tuple(found.classes)


def prepare_images(images):
    """Images from anywhere as uint8 (N, 32, 32, 3): the largest square in the middle, resized with an antialiasing filter.

    `images` is one image or a list of images, each a PIL image, the path of an image file, or an array (H, W) or
    (H, W, 3), uint8 or float in [0, 1]; or an array of several, (N, H, W, 3). Photographs are turned upright as their EXIF
    orientation says, transparent parts are white. Greyscale of 16 bits (modes I;16 and I) spans 0 to 65,535, of mode F 0 to 1;
    mode I spans 0 to 255 where it comes from no file and has no larger value. A ValueError names the image that is none of
    these or cannot be read.
    """
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
            with Image.open(image) as picture:
                return _middle(picture)
        return _middle(image if isinstance(image, Image.Image) else _from_array(image))
    except Exception as error:  # whatever a damaged file leads to
        raise ValueError(f"{name} cannot be used: {str(error) or type(error).__name__}") from error


def _from_array(array):
    image = as_bytes(array) if isinstance(array, np.ndarray) else array
    fits = isinstance(image, np.ndarray) and image.dtype == np.uint8
    if not fits or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        wanted = "a PIL image, a path or a uint8 or float array (H, W) or (H, W, 3)"
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
        return picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # whatever damaged EXIF data lead to; the picture has been read and is as it should be
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

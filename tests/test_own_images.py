import numpy as np
import pytest
from PIL import Image

from src import outcomes, own_plots, sweep
from src.classifier import ClassifierConfig, evaluate_classifier
from src.experiment import Experiment, Settings, grid
from src.outcomes import load_autoencoder, load_classifier, outcome_path
from src.own_images import classify, prepare_images, what_is_left
from src.sweep import run_experiment
from src.train import TrainConfig, encode_images

SIZES = (3, 6)


@pytest.fixture(scope="module")
def models(tiny, tmp_path_factory):
    """Two trained models in a folder of their own."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MODELS_DIR", "REPORTS_DIR"):
            patch.setattr(outcomes, name, folder / name)
        patch.setattr(sweep, "load_dataset", lambda *args, **kwargs: tiny)
        reader = ClassifierConfig(epochs=4, batch_size=32)
        settings = Settings(TrainConfig(epochs=1, batch_size=64), views=1, mlp=reader, convolutions=reader)
        for experiment in grid(["CIFAR10"], ["vae"], SIZES):
            run_experiment(experiment, settings=settings)
        yield [Experiment("CIFAR10", "vae", size) for size in SIZES]


@pytest.fixture
def picture():
    """A photograph's shape with a red square of 60 x 60 in its middle, black beside it."""
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, 20:80] = (255, 0, 0)
    return Image.fromarray(image)


def test_the_middle_square_is_what_is_seen(picture):
    (image,) = prepare_images(picture)
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8
    assert (image == (255, 0, 0)).all()


def test_every_form_of_the_same_image_is_the_same(picture, tmp_path):
    array = np.asarray(picture)
    picture.save(tmp_path / "red.png")
    forms = [picture, array, array / 255, tmp_path / "red.png", str(tmp_path / "red.png"), picture.convert("RGBA")]
    assert all(np.array_equal(prepare_images(form), prepare_images(picture)) for form in forms)
    assert len(prepare_images(forms)) == len(forms) and len(prepare_images(np.stack([array, array]))) == 2
    assert len(prepare_images([array, np.zeros((50, 40), np.uint8)])) == 2


def test_images_of_the_data_set_stay_as_they_are(tiny):
    assert np.array_equal(prepare_images(tiny.x_test), tiny.x_test)


def test_a_photograph_is_turned_upright(tmp_path):
    image = np.zeros((40, 40, 3), np.uint8)
    image[:20] = 255  # bright above
    exif = Image.Exif()
    exif[0x0112] = 3  # the camera was held upside down
    Image.fromarray(image).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    (turned,) = prepare_images(tmp_path / "turned.jpg")
    assert turned[:12].mean() < 10 and turned[-12:].mean() > 245


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "there is no image"),
        ("nowhere.jpg", r"nowhere.jpg cannot be read as an image"),
        (np.zeros((8, 8, 4), np.uint8), "an image must be"),
        (np.zeros((8, 8, 3), np.int64), "an image must be"),
        (np.zeros((0, 8, 3), np.uint8), "an image must be"),
        (np.full((8, 8, 3), 2.0), r"float images must lie in \[0, 1\]"),
        (np.full((8, 8, 3), np.nan), r"float images must lie in \[0, 1\]"),
        (None, "an image must be .* not NoneType"),
    ],
)
def test_what_is_no_image_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        prepare_images(images)


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(ValueError, match="cannot be read as an image"):
        prepare_images(tmp_path / "text.png")


def test_the_class_is_that_of_the_reader_of_the_study(models, tiny):
    table = classify(tiny.x_test, models[0])
    row = outcomes.load_outcome(models[0])["row"]
    assert table.shape == (100, 10) and list(table.columns) == list(tiny.classes)
    assert np.allclose(table.sum(axis=1), 1, atol=1e-5)
    assert np.mean(table.to_numpy().argmax(1) == tiny.y_test) == row["accuracy_mlp"]
    z = encode_images(load_autoencoder(models[0]), tiny.x_test)
    assert evaluate_classifier(load_classifier(models[0]), z, tiny.y_test)["accuracy"] == row["accuracy_mlp"]


def test_a_checkpoint_is_found_by_its_path(models, tiny):
    path = outcome_path(models[1])
    assert classify(tiny.x_test[:5], path).equals(classify(tiny.x_test[:5], models[1]))
    assert load_autoencoder(str(path)).latent_dim == SIZES[1]
    with pytest.raises(ValueError, match=r"has not been run: there is no missing.pt"):
        classify(tiny.x_test[:5], path.with_name("missing.pt"))


def test_figures_and_words_show_every_image(models, tiny):
    images = tiny.x_test[:3]
    tables = {model.latent_dim: classify(images, model) for model in models}
    figure = own_plots.probabilities(images, tables)
    assert len(figure.axes) == 3 * (1 + len(SIZES)) and [ax.get_title() for ax in figure.axes[1:3]] == [
        "d = 3",
        "d = 6",
    ]
    best = tables[6].iloc[0].idxmax()
    assert any(text.get_text().startswith(best) for text in figure.axes[2].texts)
    words = what_is_left(images, dict.fromkeys(SIZES, images / 255), tables)
    assert "0.0000 to 0.0000" in words and "10 classes" in words


def test_the_slider_draws_the_size_that_is_chosen(monkeypatch):
    drawn = []
    widget = own_plots.with_slider(lambda size: drawn.append(size), list(SIZES))
    widget.children[0].value = 3
    widget.update()
    assert drawn[-1] == 3
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    assert own_plots.with_slider(lambda size: size, list(SIZES)) == 6

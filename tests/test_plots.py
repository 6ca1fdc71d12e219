import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from src import class_plots, data_plots, diagrams, latent_plots, plots, style
from src.baseline import PRIOR_WORK


@pytest.fixture(autouse=True)
def closed():
    style.apply_style()
    yield
    plt.close("all")


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(plt.Text))


def history(start):
    keys = ("train_reconstruction", "val_reconstruction", "train_total", "val_total")
    return [{"epoch": epoch, **dict.fromkeys(keys, start / epoch)} for epoch in (1, 2, 3)]


def histories():
    runs = {(name, size): history(1 / size) for name in ("conv", "vae") for size in (10, 20, 50, 100)}
    for (name, size), records in runs.items():
        for record in records if name == "vae" else ():
            record |= {"train_kl": 2.0 * size, "val_kl": 2.1 * size}
    return runs


def test_training_curves_have_a_panel_a_latent_size_and_the_terms_of_the_vae():
    figure = plots.training_curves(histories(), "CIFAR100", {10: 0.1, 20: 0.05, 50: 0.02, 100: 0.01})
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:4] == ["d = 10", "d = 20", "d = 50", "d = 100"] and "KL" in titles[4]
    assert all(ax.get_ylabel() for ax in figure.axes) and "CIFAR100" in texts(figure)
    assert {line.get_linestyle() for line in figure.axes[4].lines} == {"--"}


def test_the_error_is_drawn_as_it_is_in_the_table(results):
    figure = plots.reconstruction_error(results, PRIOR_WORK)
    lines = [line for line in figure.axes[0].lines if line.get_color() == style.COLOURS["conv"]]
    assert np.allclose(lines[0].get_ydata(), 0.18 / np.array([10, 20, 50, 100]))
    shares = [line for line in figure.axes[1].lines if line.get_color() == style.COLOURS["vae"]]
    assert np.allclose(shares[0].get_ydata(), 95)


def test_error_bars_show_the_spread_over_seeds(results):
    other = results.assign(seed=1, accuracy_mlp=results.accuracy_mlp + 0.02)
    summary = plots.summarise(pd.concat([results, other]), "accuracy_mlp").dropna()
    assert np.allclose(summary["std"], 0.02 / np.sqrt(2))


@pytest.mark.parametrize("datasets", [["CIFAR10", "CIFAR100"], ["CIFAR10"]])
def test_the_classifiers_figure_has_its_baselines_and_names(results, datasets, tiny, tiny100):
    results = results[results.dataset.isin(datasets)]
    confusions = {}
    for dataset in (tiny, tiny100):
        truth, names = dataset.by_superclass(dataset.y_test)
        confusions[dataset.name] = (truth, np.roll(truth, 1), names)
    shown = texts(class_plots.classifier_accuracy(results, PRIOR_WORK, confusions))
    for word in ("chance (10 %)", "PCA", "raw pixels (50.0 %)", "prior work", "airplane", "latent size d"):
        assert word in shown
    assert ("aquatic mammals" in shown) == ("CIFAR100" in datasets)


def test_a_confusion_matrix_has_the_truth_in_its_rows():
    _, ax = plt.subplots()
    class_plots.confusion(ax, np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1]), ("cat", "dog"))
    assert np.allclose(ax.images[0].get_array(), [[100 / 3, 200 / 3], [0, 100]])


def test_reconstructions_carry_their_error(tiny):
    images = tiny.x_test[:4]
    rebuilt = {("conv", 10): images / 255, ("vae", 20): np.zeros(images.shape)}
    shown = texts(plots.reconstructions(images, rebuilt, "CIFAR10"))
    assert "MSE 0.0000" in shown and f"MSE {np.square(images / 255).mean():.4f}" in shown


def test_every_reader_has_its_line_and_its_ceiling(results):
    figure = class_plots.readers(results)
    shown = texts(figure)
    for word in ("convolutional AE: linear", "PCA: convolutions through the decoder", "originals (80.0 %)", "CIFAR100"):
        assert word in shown


def test_error_and_accuracy_are_drawn_against_each_other(results):
    ax = class_plots.error_against_accuracy(results).axes[0]
    line = next(line for line in ax.lines if line.get_color() == style.COLOURS["conv"])
    assert np.allclose(line.get_xdata(), 0.18 / np.array([10, 20, 50, 100])) and np.allclose(line.get_ydata()[0], 40)


@pytest.mark.parametrize("name", ["tiny", "tiny100"])
def test_classes_have_a_point_a_latent_size(name, request):
    dataset = request.getfixturevalue(name)
    ax = class_plots.class_accuracy({10: np.roll(dataset.y_test, 1), 100: dataset.y_test}, dataset).axes[0]
    assert np.allclose(ax.collections[-1].get_offsets()[:, 0], 100)
    assert len(ax.get_yticklabels()) == len(dataset.by_superclass(dataset.y_test)[1])


def test_denoising_and_objectives_are_drawn(results):
    errors = pd.DataFrame({"dataset": "CIFAR10", "autoencoder": ["conv", "denoising"], "latent_dim": 10})
    errors = pd.concat([errors.assign(noise=noise, mse=0.02 + noise) for noise in (0.0, 0.1)])
    assert len(plots.denoising(errors).axes[0].lines) == 2
    figure = class_plots.objectives(
        results[(results.latent_dim == 100) & results.autoencoder.isin(["conv", "denoising"])]
    )
    figure.canvas.draw()  # which gives the bars their names
    assert "denoising AE" in texts(figure) and "d = 100" in texts(figure)


def test_neighbours_of_another_class_are_framed(tiny):
    found = {"pixels": np.array([[0, 1], [2, 3]])}
    figure = latent_plots.neighbours(tiny, [4, 5], found, "neighbours")
    for row, query in enumerate((4, 5)):
        for column, index in enumerate(found["pixels"][row]):
            ax = figure.axes[3 * row + 1 + column]
            assert ax.spines["left"].get_visible() == (tiny.y_train[index] != tiny.y_test[query])


def test_the_map_shows_every_class():
    figure = latent_plots.latent_map(np.random.rand(20, 2), np.arange(20) % 2, ("cat", "dog"), "a map")
    assert "cat" in texts(figure) and "a map" in texts(figure) and len(figure.axes[0].collections) == 2


def test_diagrams_show_the_study(tiny):
    assert "10, 20" in texts(diagrams.pipeline((10, 20), 45_000))
    shown = texts(diagrams.bottleneck(tiny.x_test[0], tiny.x_test[0] / 255, np.arange(7.0), "conv"))
    assert "7 numbers" in shown and "MSE 0.0000" in shown


@pytest.mark.parametrize("name", ["tiny", "tiny100"])
def test_figures_of_a_data_set_name_its_classes(name, request):
    dataset = request.getfixturevalue(name)
    assert dataset.classes[3] in texts(data_plots.class_grid(dataset, per_class=3))
    assert "mean training image" in texts(data_plots.mean_images(dataset))
    assert dataset.name in texts(data_plots.class_balance([dataset]))
    assert "share of pixels" in texts(data_plots.channel_histograms([dataset]))


def test_duplicates_under_two_labels_are_red(tiny):
    groups = [[("train", 0, 3), ("test", 0, 3)], [("train", 1, 3), ("train", 2, 5)]]
    figure = data_plots.duplicate_images(tiny, groups)
    assert [figure.axes[i].title.get_color() == "#c0392b" for i in (0, 1)] == [False, True]


def test_figures_are_saved_where_they_belong(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "REPORTS_DIR", tmp_path)
    figure = plt.figure()
    style.save_figure(figure, "one")
    style.save_figure(figure, "one", sample=True)
    assert (tmp_path / "one.png").exists() and (tmp_path / "sample" / "one.png").exists()

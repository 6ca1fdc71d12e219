"""The figures of src.report: what they draw, and that they can do without what was not run."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from src.autoencoder import build_autoencoder
from src.baseline import PRIOR_WORK
from src.report import classification, reconstruction, style, tables
from src.study.checkpoints import read_results

NAMES = ["conv", "vae", "pca"]


@pytest.fixture(autouse=True)
def closed():
    style.apply_style()
    yield
    plt.close("all")


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(plt.Text))


def lines(ax, name):
    return [line for line in ax.lines if line.get_color() == style.colour(name) and len(line.get_xdata()) > 2]


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def test_training_curves_are_shares_of_pcas_error_with_a_panel_for_each_data_set():
    history = [{"epoch": epoch, "val_reconstruction": 0.2 / epoch} for epoch in (1, 2, 4)]
    histories = {(d, name, 10): history for d in ("CIFAR10", "CIFAR100") for name in ("conv", "vae")}
    figure = reconstruction.training_curves(histories, {("CIFAR10", 10): 0.1, ("CIFAR100", 10): 0.2})
    assert [ax.get_title() for ax in figure.axes] == ["CIFAR10", "CIFAR100"]
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([200, 100, 50])
    assert figure.axes[1].lines[1].get_ydata() == pytest.approx([100, 50, 25])
    assert {"d = 10"} <= {text.get_text() for text in figure.axes[1].texts}


def test_the_error_is_a_share_of_pcas(results):
    figure = reconstruction.error_beside_pca(results, PRIOR_WORK, ["conv", "vae"])
    assert np.allclose(lines(figure.axes[0], "vae")[0].get_ydata(), 95)
    prior = [line for line in figure.axes[0].lines if line.get_color() == style.PRIOR["color"]]
    assert prior[0].get_ydata()[0] == pytest.approx(100 * 0.0210 / 0.02)


def test_error_bars_show_the_spread_over_seeds(results):
    other = results.assign(seed=1, accuracy_mlp=results.accuracy_mlp + 0.02)
    assert np.allclose(style.summarise(pd.concat([results, other]), "accuracy_mlp")["std"], 0.02 / np.sqrt(2))


def test_accuracy_is_a_bar_for_each_code_by_its_best_probe(results):
    figure = classification.accuracy(results, PRIOR_WORK, 100)
    bars = {
        text.get_text(): bar.get_width()
        for text, bar in zip(figure.axes[0].texts, figure.axes[0].patches, strict=False)
    }
    assert bars["CNN 60.0"] == pytest.approx(60) and bars["CNN 80.0"] == pytest.approx(80) and "MLP 55.0" in bars
    assert {"prior work", "chance"} <= {*texts_of(figure.axes[0])} and "prior work" not in texts_of(figure.axes[1])


def test_the_class_is_in_bits_and_the_image_in_thousandths(results):
    bits = results.assign(bits_mlp=np.log10(results.latent_dim), accuracy_cnn=np.nan)
    figure = classification.class_and_image(bits, ["conv", "pca"], "CIFAR10")
    assert lines(figure.axes[0], "conv")[0].get_ydata() == pytest.approx([1, np.log10(20), np.log10(50), 2])
    assert lines(figure.axes[1], "pca")[0].get_ydata() == pytest.approx([20, 10, 4, 2])
    assert {"encoder trained with labels, d = 100", "PCA", "convolutional AE"} <= {*texts_of(figure.axes[0])}


def test_names_at_the_ends_of_lines_keep_a_distance():
    _, ax = plt.subplots()
    ax.set(xlim=(0, 2), ylim=(0, 1))
    style.label_ends(ax, [(1, 0.5, "a", "red"), (1, 0.51, "b", "blue"), (2, 0.5, "c", "red")])
    assert {t.get_text(): round(t.xy[1], 6) for t in ax.texts} == {"a": 0.475, "b": 0.535, "c": 0.5}


def test_probes_are_drawn_and_named_beside_pcas_code(results, answers):
    figure = classification.probes(results, ["conv", "vae", "pca"], answers, "CIFAR10")
    left, right = figure.axes
    assert lines(left, "conv")[0].get_ydata() == pytest.approx([35, 37, 55, 60])
    assert {text.get_text() for text in right.texts} == {"linear", "kNN", "MLP", "CNN"}
    (differences,) = [line for line in right.lines if np.allclose(line.get_ydata(), 3) and len(line.get_ydata()) == 4]
    (bars,) = [c for c in right.collections if c.get_color()[0][:3].tolist() == list(to_rgb(differences.get_color()))]
    low, high = bars.get_segments()[0][:, 1]
    assert high - low == pytest.approx(4 * 100 * np.sqrt(0.03 * 0.97 / 999), rel=1e-3)  # two errors up and down


def test_error_against_accuracy_names_the_sizes(results):
    figure = classification.error_against_accuracy(results, NAMES)
    assert np.allclose(lines(figure.axes[0], "conv")[0].get_xdata(), [18, 9, 3.6, 1.8])
    assert all(f"d = {size}" in texts(figure) for size in (10, 20, 50, 100))
    low, high = figure.axes[0].collections[0].get_segments()[0][:, 1]
    assert high - low == pytest.approx(400 * np.sqrt(0.4 * 0.6 / 10_000))  # two standard errors up and down


def test_confusion_matrices_have_a_panel_a_data_set():
    truth, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    figure = classification.confusion_matrices({"CIFAR10": (truth, predicted, ("a", "b", "c"))}, "title")
    assert "50%" in texts(figure) and "true class" in texts(figure)
    assert "was not run" in texts(classification.confusion_matrices({}, "title"))


@pytest.mark.parametrize("keep", [["conv"], ["vae", "pca"], ["pca"], []])
@pytest.mark.parametrize("sizes", [[100], [10, 100]])
def test_figures_do_without_what_was_not_run(results, answers, keep, sizes):
    some = results[results.autoencoder.isin(keep) & results.latent_dim.isin(sizes) & (results.dataset == "CIFAR10")]
    some = some.assign(accuracy_cnn=None)
    for figure in (
        reconstruction.error_beside_pca(some, PRIOR_WORK, NAMES),
        classification.accuracy(some if keep else results, PRIOR_WORK, 100),
        classification.probes(
            results if "conv" not in keep else some, ["conv", "pca"], answers if keep else {}, "CIFAR10"
        ),
        classification.class_and_image(some if keep else results, NAMES, "CIFAR10"),
        classification.error_against_accuracy(some if keep else results, NAMES),
    ):
        figure.canvas.draw()


def test_reconstructions_name_their_error(images):
    figure = reconstruction.reconstructions(images, {("pca", 10): images / 255 + 0.1}, "CIFAR10")
    assert "PCA, d = 10\nMSE 10.0" in texts(figure)


def test_image_grids_frame_and_name(images):
    figure = style.image_grid({"a": images, "b": images[:2]}, "title", marked={(0, 1)}, columns=["-3", "+3"])
    assert figure.axes[1].spines["left"].get_visible() and not figure.axes[0].spines["left"].get_visible()
    assert figure.axes[0].get_title() == "-3" and "title" in texts(figure)


def test_the_method_is_shown_with_and_without_a_probe(images):
    probabilities = pd.Series({"cat": 0.7, "dog": 0.2, "frog": 0.1})
    model = build_autoencoder("vae", 10)
    for likely in (probabilities, probabilities[:0]):
        figure = reconstruction.pipeline(images[0], np.arange(10.0), images[0] / 255, model, likely)
        assert "MSE 0.0 thousandths" in texts(figure) and ("cat, 70 %" in texts(figure)) == bool(len(likely))


def test_probabilities_are_shown_a_row_an_image(images):
    table = pd.DataFrame([{"cat": 0.7, "dog": 0.2, "frog": 0.1}] * 5)
    figure = reconstruction.probabilities(images, {10: table, 100: table})
    assert texts(figure).count("cat, 70 %") == 10 and "d = 100" in texts(figure)


def test_a_figure_is_saved_whole_and_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "REPORTS_DIR", tmp_path)
    style.show_figure(plt.figure(), "alternative text", "name", "quick")
    assert (tmp_path / "quick" / "name.png").read_bytes()[:4] == b"\x89PNG" and not plt.get_fignums()


def test_the_front_goes_from_pixels_to_features_a_line_a_size(results):
    half = results[results.autoencoder == "conv"].assign(autoencoder="features", test_mse=0.05, accuracy_mlp=0.7)
    published = {"prior": PRIOR_WORK.rename(columns={"accuracy": "accuracy_mlp"}), "other": PRIOR_WORK.iloc[:0]}
    published["other"] = published["other"].assign(accuracy_mlp=[])
    others = ["pca", "supervised"]
    figure = classification.front(pd.concat([results, half]), ["conv", "features"], others, published)
    front = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2 and line.get_xdata()[-1] == 50]
    assert [line.get_xydata()[0].round(3).tolist() for line in front] == [[18, 45], [9, 50], [3.6, 55], [1.8, 60]]
    assert {"d = 10", "d = 100", "supervised encoder (55 %)", "prior", "PCA"} <= {*texts_of(figure.axes[0])}


def test_the_front_is_empty_where_no_probe_was_run(results):
    published = dict.fromkeys(("prior", "other"), PRIOR_WORK.rename(columns={"accuracy": "accuracy_mlp"}))
    figure = classification.front(
        results.assign(**{f"accuracy_{probe}": np.nan for probe in style.PROBE_LABELS}),
        ["conv", "features"],
        ["pca", "supervised"],
        published,
    )
    assert not any(text.startswith("d =") for text in texts_of(figure.axes[0]))


def texts_of(ax):
    return [text.get_text() for text in ax.findobj(plt.Text)]


def test_few_labels_are_drawn_and_tabled_with_their_deviation():
    rows = [
        {
            "dataset": "CIFAR10",
            "code": code,
            "per_class": count,
            "draw": draw,
            "accuracy": 0.3 + count / 1000 + draw / 50,
        }
        for code in ("pca", "scratch")
        for count in (10, 100)
        for draw in (0, 1)
    ]
    figure = classification.few_labels(pd.DataFrame(rows))
    assert np.allclose(figure.axes[0].lines[0].get_ydata(), [32, 41])
    assert {"PCA", "network from scratch", "10", "100"} <= {*texts_of(figure.axes[0])}
    table = tables.few_labels_table(pd.DataFrame(rows))
    assert table.loc[("CIFAR10", "network from scratch"), 100] == "41.0 ± 1.4"
    fewer = [
        row | {"dataset": "CIFAR100"} for row in rows if row["per_class"] == 10
    ]  # where a class has no hundred images
    table = tables.as_markdown(tables.few_labels_table(pd.DataFrame(rows + fewer)))
    assert "| CIFAR100 | PCA | 32.0 ± 1.4 |  |" in table


def test_figures_do_with_a_size_of_one_data_set_alone_and_with_a_data_set_that_is_not_kept(results):
    only = results[(results.dataset == "CIFAR10") | (results.latent_dim != 50)]
    figure = classification.front(only, ["conv", "vae"], ["pca"], {})
    assert "d = 50" in texts(figure)
    own = results.assign(dataset=results.dataset.replace({"CIFAR100": "unsaved"}))
    figure = classification.accuracy(own, PRIOR_WORK, 100)
    assert ["chance" in texts_of(ax) for ax in figure.axes] == [True, False]


def test_tables_of_nothing_say_so(results):
    nothing = results[:0]
    for table in (tables.error_table(nothing), tables.accuracy_table(nothing)):
        assert "Nothing to show" in tables.as_markdown(table)
    assert "Nothing to show" in tables.as_markdown(tables.difference_to_pca(nothing, "conv", {}))


def test_the_front_of_the_committed_table_is_drawn():
    figure = classification.front(read_results(), ["conv", "features"], ["pca", "supervised"], {})
    assert {"d = 10", "d = 100"} <= {text.get_text() for ax in figure.axes for text in ax.texts}

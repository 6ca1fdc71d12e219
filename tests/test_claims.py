"""Every number in the text of the README and the notebooks is that of the committed full study.

`CLAIMS` says what the text says, with the numbers computed from `reports/results.csv`. A text whose number is in no claim fails.
"""

import math
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from rates import rate_table

from src.baseline import PRIOR_WORK, TUTORIAL
from src.features import LEARNT_FROM
from src.report import tables
from src.study.checkpoints import read_results
from src.utils import ROOT

RESULTS = read_results()
MEANS = RESULTS.groupby(["dataset", "autoencoder", "latent_dim"]).mean(numeric_only=True)
RATES = pd.read_csv(ROOT / "reports" / "rates.csv").assign(equal_steps=False)
FEW = pd.read_csv(ROOT / "reports" / "few_labels.csv").groupby(["dataset", "code", "per_class"]).accuracy.mean()
CUDA = pd.read_csv(ROOT / "reports" / "cuda.csv").set_index(["dataset", "autoencoder", "latent_dim"])
TRAINING = (
    pd.read_csv(ROOT / "reports" / "training.csv").set_index(["autoencoder", "latent_dim", "epochs"]).sort_index()
)
SEARCH = pd.read_csv(ROOT / "reports" / "search.csv")
PRIOR = PRIOR_WORK.set_index(["dataset", "latent_dim"])
SIZES = (10, 20, 50, 100)
NOTEBOOKS = sorted(path.stem for path in (ROOT / "run").glob("*.ipynb"))
C10, C100 = BOTH = ("CIFAR10", "CIFAR100")
KEPT = ["conv", "random_start", "pca", "features", "features_90", "features_50"]  # in the README's tables


def accuracy(dataset, name, size, probe="mlp"):
    return 100 * MEANS.loc[(dataset, name, size), f"accuracy_{probe}"]


def error(dataset, name, size):
    return MEANS.loc[(dataset, name, size), "test_mse"]


def share(dataset, name, size):
    return 100 * error(dataset, name, size) / error(dataset, "pca", size)


def acc(*where):
    return f"{accuracy(*where):.1f} %"


def of_pca(*where):
    return f"{share(*where):.1f} %"


def gain(dataset, name, other, size, probe="mlp"):
    return f"{accuracy(dataset, name, size, probe) - accuracy(dataset, other, size, probe):.1f}"


def largest_gain(dataset):
    return f"{max(accuracy(dataset, 'conv', size) - accuracy(dataset, 'pca', size) for size in SIZES):.1f}"


def times(dataset, name, other, size):
    return f"{error(dataset, name, size) / error(dataset, other, size):.1f}"


def nats(dataset, size):
    return f"{MEANS.loc[(dataset, 'vae', size), 'kl_nats']:.0f} nats"


def kl_bytes(dataset, size):
    return f"{MEANS.loc[(dataset, 'vae', size), 'kl_nats'] / math.log(256):.0f} bytes"


def bits(dataset, size):
    return f"{MEANS.loc[(dataset, 'vae', size), 'bits_per_dim']:.2f} bits/dim"


def few(dataset, code, count):
    return f"{100 * FEW[dataset, code, count]:.1f} %"


def thousandths(values):
    return ", ".join(f"{1000 * value:.2f}" for value in values)


def ours_at_theirs():
    return thousandths(error(C10, "conv", size) for size in TUTORIAL.latent_dim)


def theirs():
    return thousandths(TUTORIAL.test_mse)


def prior(size):
    return f"{100 * PRIOR.accuracy[C10, size]:.1f} %"


def twenty_epochs(size):
    errors = TRAINING.test_mse["conv", size]
    return f"{100 * (1 - errors[20] / errors[8]):.1f} %"


def from_random(size):
    return f"{100 * TRAINING.test_mse['random_start', size][20] / error(C10, 'pca', size):.1f} %"


def on_cuda(*where):
    return f"{CUDA.autoencoder_seconds[where]:.0f} s"


def text_of(name):
    if name == "README":
        return re.sub(r"^\|.*\|$|^```.*?^```", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M | re.S)
    notebook = nbformat.read(ROOT / "run" / f"{name}.ipynb", as_version=4)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def claims():
    """Phrases with their numbers, by text."""
    return {
        "README": [
            f"convolutional autoencoder is {of_pca(C10, 'conv', 10)} of PCA's with 10 numbers and "
            f"{of_pca(C10, 'conv', 100)} with 100.",
            f"an accuracy of {acc(C10, 'conv', 10)} to {acc(C10, 'conv', 100)} on its code, "
            f"{acc(C10, 'pca', 10)} to {acc(C10, 'pca', 100)} on PCA's and {acc(C10, 'pixels', 3072)} on all "
            f"pixels:",
            f"labels, it has {acc(C10, 'features', 10)} to {acc(C10, 'features', 100)}.",
            f"with 100 numbers, {acc(C10, 'conv', 100, 'cnn')} on the autoencoder's code, "
            f"{acc(C10, 'pca', 100, 'cnn')} on PCA's and {acc(C10, 'features', 100, 'cnn')} on features, "
            f"and {acc(C10, 'pixels', 3072, 'cnn')} on the images",
            f"the error is {of_pca(C100, 'conv', 10)} of PCA's with 10 numbers and "
            f"{of_pca(C100, 'conv', 100)} with 100, and the MLP has {acc(C100, 'conv', 10)} to "
            f"{acc(C100, 'conv', 100)} on its code (PCA {acc(C100, 'pca', 10)} to {acc(C100, 'pca', 100)}, "
            f"pixels {acc(C100, 'pixels', 3072)}, features {acc(C100, 'features', 10)} to "
            f"{acc(C100, 'features', 100)}).",
            f"linear probe has {few(C10, 'features', 50)} on 100 features, {few(C10, 'pixels', 50)} on the "
            f"pixels and {few(C10, 'conv', 50)} on the autoencoder's code; a network from scratch, not tuned for so "
            f"few, has {few(C10, 'cnn', 50)}.",
            f"numbers trains in {on_cuda(C10, 'conv', 10)}, to the same",
            f"autoencoder's error is {ours_at_theirs()} thousandths, where the strongest published "
            f"autoencoders that could be run here ([tutorial 9](https://uvadlc-notebooks.readthedocs.io), 500"
            f" epochs) have {theirs()}.",
        ],
        "master_notebook": [
            f"convolutional autoencoder is {of_pca(C10, 'conv', 10)} of PCA's with 10 numbers and "
            f"{of_pca(C10, 'conv', 100)} with 100.",
            f"an accuracy of {acc(C10, 'conv', 10)} to {acc(C10, 'conv', 100)} on its code, "
            f"{acc(C10, 'pca', 10)} to {acc(C10, 'pca', 100)} on PCA's, {acc(C10, 'pixels', 3072)} on all "
            f"pixels, and {acc(C10, 'features', 10)} to {acc(C10, 'features', 100)} on a code",
            f"CNN probe has {acc(C10, 'conv', 100, 'cnn')} on the autoencoder's code, "
            f"{acc(C10, 'pca', 100, 'cnn')} on PCA's and {acc(C10, 'features', 100, 'cnn')} on features, "
            f"and {acc(C10, 'pixels', 3072, 'cnn')} on the original",
            f"The error is {of_pca(C100, 'conv', 10)} of PCA's with 10 numbers and "
            f"{of_pca(C100, 'conv', 100)} with 100; the MLP probe has {acc(C100, 'conv', 10)} to "
            f"{acc(C100, 'conv', 100)} on the autoencoder's code, {acc(C100, 'pca', 10)} to "
            f"{acc(C100, 'pca', 100)} on PCA's, {acc(C100, 'pixels', 3072)} on all pixels and "
            f"{acc(C100, 'features', 10)} to {acc(C100, 'features', 100)} on features.",
            f"CNN probe has {acc(C100, 'conv', 100, 'cnn')}, {acc(C100, 'pca', 100, 'cnn')} and "
            f"{acc(C100, 'features', 100, 'cnn')} with 100 numbers, and {acc(C100, 'pixels', 3072, 'cnn')} "
            f"on the original",
            f"test error by {twenty_epochs(10)} at d = 10 and {twenty_epochs(100)} at d =",
            f"on CIFAR-10 with {of_pca(C10, 'conv', 10)} of its error at d = 10 and {of_pca(C10, 'conv', 100)} at d =",
            f"epochs end at {of_pca(C10, 'random_start', 10)} and {of_pca(C10, 'random_start', 100)}, and "
            f"twenty at {from_random(10)} and {from_random(100)}.",
            f"the code costs {nats(C10, 10)}, {kl_bytes(C10, 10)}, at d = 10 and {nats(C10, 100)}, "
            f"{kl_bytes(C10, 100)}, at d =",
            f"bound falls from {bits(C10, 10)} to {bits(C10, 100)}: each number saves",
            f"code falls from {gain(C10, 'conv', 'pca', 10)} points at d = 10 to "
            f"{gain(C10, 'conv', 'pca', 100)} at d = 100, where the error is nearly a quarter lower; on "
            f"CIFAR-100 it is {largest_gain(C100)} at most.",
            f"CNN probe has {acc(C10, 'pixels', 3072, 'cnn')}.",
            f"features alone have {acc(C10, 'features', 100)} at d = 100 where the convolutional autoencoder "
            f"has {acc(C10, 'conv', 100)}, and {acc(C10, 'features', 10)} beside {acc(C10, 'conv', 10)} at d "
            f"= 10; on CIFAR-100 {acc(C100, 'features', 100)} beside {acc(C100, 'conv', 100)} at d =",
            f"its error is {times(C10, 'features', 'conv', 100)} times as large.",
            f"that down to {times(C10, 'features_90', 'conv', 100)} times, with an accuracy of "
            f"{acc(C10, 'features_90', 100)}, and half of them to {times(C10, 'features_50', 'conv', 100)} "
            f"times, with {acc(C10, 'features_50', 100)}.",
            f"linear probe has {few(C10, 'features', 50)} on features, {few(C10, 'pixels', 50)} on the "
            f"pixels, {few(C10, 'pca', 50)} on PCA's code and {few(C10, 'conv', 50)} on the autoencoder's.",
            f"scratch, which has {few(C10, 'cnn', 50)} there, was trained",
            f"code goes from {acc(C10, 'conv', 100, 'linear')} (linear) over {acc(C10, 'conv', 100, 'knn')} "
            f"(kNN) and {acc(C10, 'conv', 100)} (MLP) to {acc(C10, 'conv', 100, 'cnn')} (CNN): probes of",
            f"prior work reports {prior(100)} with its own classifier at this size, and the MLP probe has "
            f"{acc(C10, 'pca', 100)} on PCA's code and {acc(C10, 'random', 100)} on that of",
            f"linear one has {acc(C10, 'features', 100, 'linear')}, and the CNN",
            f"= 100 and {gain(C10, 'conv', 'pca', 10)} points below it at d = 10 on CIFAR-10; trained from "
            f"random weights, the autoencoder has {acc(C10, 'random_start', 10)} and, at d = 100, "
            f"{acc(C10, 'random_start', 100)}.",
            f"numbers, on CIFAR-10 {acc(C10, 'supervised', 10)} at d = 10 and {acc(C10, 'supervised', 100)} at d =",
        ],
        "appendix": [
            f"= 256 on: {ours_at_theirs()} thousandths, below the tutorial's {theirs()} at every size.",
            f"test error by {twenty_epochs(10)} at d = 10 and {twenty_epochs(100)} at d =",
            f"epochs end at {from_random(10)} of PCA's error at d = 10 and {from_random(100)} at d =",
        ],
    }


CLAIMS = claims()
# numbers that are no results: of the set-up, and of the data
GIVEN = r"arxiv\.org/abs/[\d.]+|doi\.org/[^)]+|noise of 0\.2|Python 3\.11|torch 2\.14 and 2\.9|8 bits/dim|2 x 170 MB"


def flat(text):
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(("name", "claim"), [(name, claim) for name, found in CLAIMS.items() for claim in found])
def test_the_text_says_what_the_rows_say(name, claim):
    assert flat(claim) in flat(text_of(name))


@pytest.mark.parametrize("name", ["README", *NOTEBOOKS])
def test_no_number_is_without_its_claim(name):
    text = flat(text_of(name))
    for claim in CLAIMS.get(name, []):
        text = text.replace(flat(claim), "")
    assert re.findall(r".{30}\d+\.\d+.{10}|.{30}\d %.{10}", re.sub(GIVEN, "", text)) == []


@pytest.mark.parametrize("dataset", BOTH)
def test_what_the_text_compares_in_words(dataset):
    shares = [share(dataset, "conv", size) for size in SIZES]
    assert shares == sorted(shares, reverse=True) and shares[0] < 100 and 75 < shares[-1] < 80  # "up to a quarter"
    gains = [accuracy(dataset, "conv", size) - accuracy(dataset, "pca", size) for size in SIZES]
    assert all(-0.5 < gain < 4 for gain in gains)  # "a little"
    if dataset == C10:
        assert gains == sorted(gains, reverse=True)  # "and less the larger the code"
    assert all((PRIOR.test_mse[dataset, d] > error(dataset, "pca", d)) == (d >= 50) for d in SIZES)
    assert accuracy(dataset, "conv", 50) < accuracy(dataset, "pixels", 3072) < accuracy(dataset, "conv", 100)


@pytest.mark.parametrize("dataset", BOTH)
def test_the_variational_autoencoder_is_where_the_convolutional_one_is(dataset):
    for size in SIZES:
        assert abs(error(dataset, "vae", size) / error(dataset, "conv", size) - 1) < 0.01
        assert abs(accuracy(dataset, "vae", size) - accuracy(dataset, "conv", size)) < 1
        assert MEANS.loc[(dataset, "vae", size), "active_units"] == size
    bounds = [MEANS.loc[(dataset, "vae", size), "bits_per_dim"] for size in SIZES]
    assert bounds == sorted(bounds, reverse=True) and bounds[-1] > 6  # PNG's is below


@pytest.mark.parametrize("dataset", BOTH)
def test_at_the_same_error_pca_has_more_of_the_class(dataset):
    errors = [error(dataset, "conv", size) for size in SIZES[::-1]]
    accuracies = [accuracy(dataset, "conv", size) for size in SIZES[::-1]]
    for size in (20, 50, 100):
        assert np.interp(error(dataset, "pca", size), errors, accuracies) < accuracy(dataset, "pca", size)


def test_from_random_weights_it_ends_where_the_prior_work_does():
    for size in (10, 100):
        theirs = 100 * PRIOR.test_mse[C10, size] / error(C10, "pca", size)
        assert abs(share(C10, "random_start", size) - theirs) < 1.5
        assert accuracy(C10, "random_start", size) < accuracy(C10, "conv", size) - 2.5


def test_longer_training_makes_a_better_image_and_no_more_of_the_class():
    for size in (10, 100):
        ours, theirs = (TRAINING.loc[name, size] for name in ("conv", "random_start"))
        assert [*ours.index] == [*theirs.index] == [2, 4, 8, 20]
        assert abs(ours.accuracy_mlp[20] - ours.accuracy_mlp[8]) < 0.005
        for part in (ours, theirs):
            assert part.val_mse.is_monotonic_decreasing and part.test_mse.is_monotonic_decreasing
        assert ours.test_mse[2] < theirs.test_mse[20]
    assert theirs.accuracy_mlp.loc[[4, 8, 20]].is_monotonic_decreasing  # at d = 100
    assert TRAINING.accuracy_mlp["random_start", 10].is_monotonic_increasing


def test_denoising_pays_on_noisy_images():
    noise = pd.read_csv(ROOT / "reports" / "noise.csv").set_index(["dataset", "latent_dim", "noise", "autoencoder"]).mse
    for (_, _, level), mse in noise.groupby(level=[0, 1, 2]):
        mse = mse.droplevel([0, 1, 2])
        assert mse["denoising"] > mse["conv"] if level == 0 else level < 0.2 or mse["denoising"] < mse["conv"]


@pytest.mark.parametrize("dataset", BOTH)
def test_features_hold_more_of_the_class_by_the_best_probe_of_each(dataset):
    for size in SIZES:
        best = {}
        for name in ("features", "conv", "pca"):
            best[name] = max(accuracy(dataset, name, size, probe) for probe in ("linear", "knn", "mlp", "cnn"))
        assert best["features"] > max(best["conv"], best["pca"]) + 3


@pytest.mark.parametrize("probe", ["linear", "knn", "mlp", "cnn"])
def test_features_hold_more_of_the_class_under_every_probe(probe):
    assert all(accuracy(d, "features", s, probe) > accuracy(d, "conv", s, probe) + 3 for d in BOTH for s in SIZES)


def test_the_lead_of_features_is_smaller_for_the_cnn():
    lead = {
        probe: accuracy(C10, "features", 100, probe) - accuracy(C10, "conv", 100, probe) for probe in ("mlp", "cnn")
    }
    assert round(lead["mlp"]) == 13 and 4 < lead["cnn"] < 5


def test_features_are_half_way_from_pixels_to_labels():
    assert all(accuracy(d, "features", s) > accuracy(d, "features", s, "cnn") for d in BOTH for s in SIZES)
    pixels, features, labels = (accuracy(C10, name, 100) for name in ("conv", "features", "supervised"))
    assert 0.45 < (features - pixels) / (labels - pixels) < 0.65
    pixels, features, labels = (accuracy(C10, name, 10) for name in ("conv", "features", "supervised"))
    assert 0.2 < (features - pixels) / (labels - pixels) < 0.3  # "a quarter"
    best = [accuracy(C10, name, d) for name in ("conv", "pca", "features_90", "features_70") for d in SIZES]
    assert max(best) < accuracy(C10, "supervised", 10)  # "far above"
    with_all = accuracy(C10, "features", 100, "linear") - accuracy(C10, "conv", 100, "linear")
    assert 100 * (FEW[C10, "features", 50] - FEW[C10, "conv", 50]) == pytest.approx(with_all, abs=0.5)  # "as wide"
    assert accuracy(C10, "conv", 100) - accuracy(C10, "pca", 100) < 0.5  # "within half a point"
    assert all(accuracy(d, "random", s) < accuracy(d, "pca", s) - 5 for d in BOTH for s in SIZES)  # "far below"


def test_other_losses_cost_some_of_the_image_and_hardly_move_the_class():
    for name in ("denoising", "masked"):
        assert error(C10, "conv", 100) < error(C10, name, 100) < error(C10, "pca", 100)
        assert abs(accuracy(C10, name, 100) - accuracy(C10, "conv", 100)) < 1.1  # "not much more than a point"


def test_one_nested_code_stands_in_for_four():
    for size in SIZES:
        assert 1.045 < error(C10, "nested", size) / error(C10, "conv", size) < 1.075  # "five to seven per cent"
        assert error(C10, "nested", size) < error(C10, "pca", size)
        assert abs(accuracy(C10, "nested", size) - accuracy(C10, "pca", size)) < 1


def test_epochs_and_images_are_as_many_as_the_text_says():
    epochs = {**RESULTS[RESULTS.latent_dim < 256].groupby("autoencoder").epochs.agg(set)}
    of_conv = {name: {8} for name in ("conv", "vae", "random_start", "denoising", "nested", "masked")}
    of_features = {name: {2} for name in epochs if name.startswith("features")}
    assert epochs == epochs | of_conv | of_features | {"spatial": {5}} and len(of_features) == 4
    assert {*RESULTS[(RESULTS.latent_dim >= 256) & (RESULTS.autoencoder == "conv")].epochs} == {12}
    assert {*RESULTS.train_images} == {45_000} and LEARNT_FROM == 20_000


def test_rounding_to_two_bits_adds_up_to_nearly_half():
    shown = rate_table(RATES[RATES.name.isin(["conv", "features_50"]) & RATES.step.notna()])
    added = shown["2 bits"][shown["2 bits"] != ""].str.extract(r"\+(\d+) %")[0].astype(int)
    assert 40 < added.max() < 50


def test_seeds_are_as_many_as_the_text_says():
    three = {(name, "conv", size) for name in BOTH for size in (10, 100)}
    three |= {(C10, "features", size) for size in SIZES} | {(C100, "features_90", size) for size in SIZES}
    seeds = RESULTS.groupby(["dataset", "autoencoder", "latent_dim"]).seed.nunique()
    assert {*seeds.index[seeds == 3]} == three and {*seeds} == {1, 3}


def test_features_lead_every_other_code_with_few_labels():
    assert all(
        FEW[d, "features", c] > FEW[d, code, c]
        for d in BOTH
        for c in (10, 50, 100)
        for code in ("pca", "conv", "pixels")
    )


def test_the_penalty_with_few_labels_is_near_the_best_for_every_code():
    rows = SEARCH[SEARCH.what == "few labels, linear probe on every code, three draws"]
    for _, of_code in rows.groupby("autoencoder"):
        taken = of_code.val_accuracy[of_code.setting.str.endswith("(taken)")].item()
        assert taken > of_code.val_accuracy.max() - 0.005
    assert {*rows.autoencoder} == {"features", "pixels", "pca", "conv"}


def test_a_gpu_comes_to_the_same():
    for where, row in CUDA.iterrows():
        rows = RESULTS.set_index(CUDA.index.names).loc[where]
        assert row.test_mse == pytest.approx(rows.test_mse.mean(), rel=0.005)
        assert row.accuracy_mlp == pytest.approx(rows.accuracy_mlp.mean(), abs=0.01)
    assert CUDA.autoencoder_seconds[C10, "conv", 100] < MEANS.autoencoder_seconds[C10, "conv", 100] / 3


def at_bytes(dataset, name, count, column):
    """What each size of a code has at so many bytes an image, between the steps that were measured."""
    rows = RATES[(RATES.dataset == dataset) & (RATES.name == name) & (RATES.step > 0)].sort_values("bytes")
    sizes = {size: group for size, group in rows.groupby("latent_dim") if group.bytes.min() <= count}
    return pd.Series({size: np.interp(count, group.bytes, group[column]) for size, group in sizes.items()})


def test_the_best_size_at_a_number_of_bytes():
    for count, best in {6: 20, 15: 50, 24: 100}.items():
        assert at_bytes(C10, "conv", count, "mse").idxmin() == best
        assert at_bytes(C10, "conv", count, "accuracy").idxmax() == best
        assert 1.9 <= 8 * count / best <= 2.4  # "about two bits per number"


@pytest.mark.parametrize("dataset", BOTH)
def test_no_format_has_less_error_up_to_sixty_bytes(dataset):
    formats = RATES[(RATES.dataset == dataset) & RATES.payload.notna()]
    better = formats[(formats.name == "webp") & (formats.mse < error(dataset, "conv", 100))]
    assert better.bytes.min() < 200  # "less than half" of 400
    assert formats.payload[formats.name == "webp"].min() >= 64
    for file in formats[formats.payload <= 60].itertuples():
        assert all(at_bytes(dataset, name, file.payload, "mse")[100] < file.mse for name in ("conv", "vae", "pca"))


def test_a_code_of_a_hundred_numbers_in_forty_eight_bytes():
    rows = RATES[(RATES.dataset == C10) & (RATES.name == "conv") & (RATES.latent_dim == 100)].set_index("step")
    exact, coded = rows.loc[0], rows.loc[0.25]
    assert coded.bytes <= 48 and coded.mse <= 1.05 * exact.mse and coded.accuracy >= exact.accuracy - 0.005


def test_the_readmes_tables_are_those_of_the_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    results = RESULTS[RESULTS.latent_dim.isin([*SIZES, 3072])]
    for table in (
        tables.error_table(results[results.autoencoder.isin(KEPT)]),
        tables.accuracy_table(results[results.autoencoder.isin([*KEPT, "pixels", "supervised"])]),
        tables.probe_table(results, "conv"),
    ):
        assert tables.as_markdown(table) in text

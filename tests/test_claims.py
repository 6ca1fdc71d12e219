"""Every number in the text of the README and the notebooks is that of the committed full study, and every comparison holds.

`CLAIMS` says what the text says, with the numbers computed from the tables in `reports/`. A text whose number is in no claim fails. That a
code is read better than another is tested by the paired error of the stored answers.
"""

import re
from itertools import product

import nbformat
import numpy as np
import pandas as pd
import pytest

from src.baseline import PRIOR_WORK, TUTORIAL
from src.features import LEARNT_FROM
from src.report import tables
from src.report.style import label, with_best_probe
from src.study.answers import paired_difference, read_answers
from src.study.checkpoints import read_results
from src.utils import ROOT


def read(name):
    return pd.read_csv(ROOT / "reports" / f"{name}.csv")


RESULTS = with_best_probe(read_results())
MEANS = RESULTS.groupby(["dataset", "autoencoder", "latent_dim"]).mean(numeric_only=True)
BEST = RESULTS.groupby(["dataset", "autoencoder", "latent_dim"]).best_probe.first()
ANSWERS = read_answers()
RATES, NOISE, CORRUPTION = read("rates"), read("noise"), read("corruption")
FEW = read("few_labels").groupby(["dataset", "code", "per_class"]).accuracy.mean()
TRAINING = read("training").set_index(["autoencoder", "epochs"]).sort_index()
PRIOR = PRIOR_WORK.set_index(["dataset", "latent_dim"])
SIZES = (10, 20, 50, 100)
NOTEBOOKS = sorted(path.stem for path in (ROOT / "run").glob("*.ipynb"))
C10, C100 = BOTH = ("CIFAR10", "CIFAR100")
ON_FIRST_SCREEN = ["pca", "conv", "both_50", "features", "both", "supervised"]


def accuracy(dataset, name, size, probe="best"):
    return 100 * MEANS.loc[(dataset, name, size), f"accuracy_{probe}"]


def error(dataset, name, size):
    return MEANS.loc[(dataset, name, size), "test_mse"]


def acc(*where):
    return f"{accuracy(*where):.1f} %"


def whole(*where):
    return f"{accuracy(*where):.0f} %"


def of_pca(dataset, name, size):
    return f"{100 * error(dataset, name, size) / error(dataset, 'pca', size):.0f} %"


def times(dataset, name, other, size):
    return f"{error(dataset, name, size) / error(dataset, other, size):.1f} times"


def points(dataset, size, name, other, probe="mlp"):
    return f"{paired_difference(ANSWERS, dataset, size, name, other, probe)[0]:.1f}"


def minutes(name):
    return f"{MEANS.loc[(C10, name, 100), 'autoencoder_seconds'] / 60:.0f}"


def pair(probe):
    return f"{accuracy(C10, 'both', 100, probe):.1f} / {accuracy(C100, 'both', 100, probe):.1f}"


def few(dataset, code, count):
    return f"{100 * FEW[dataset, code, count]:.0f} %"


def claims():
    """Sentences with their numbers, by text."""
    of_class = (
        f"on CIFAR-10 with 100 numbers the best probe reaches {whole(C10, 'both', 100)} on combined features, "
        f"{whole(C10, 'conv', 100)} on the autoencoder's code and {whole(C10, 'pca', 100)} on PCA's"
    )
    return {
        "README": [f"O{of_class[1:]}."],
        "master_notebook": [
            f"O{of_class[1:]}; on the supervised encoder's code it reaches {whole(C10, 'supervised', 100)}.",
            f"The autoencoder's error is {of_pca(C10, 'conv', 10)} of PCA's with 10 numbers and {of_pca(C10, 'conv', 100)} with 100.",
            f"from random weights, with a learning rate of the linear maps that was searched for this start, on the smaller network of the preset `quick`, the same epochs end at "
            f"{of_pca(C10, 'random_start', 100)} with 100 numbers on CIFAR-10.",
            f"with 10 numbers the MLP reaches {points(C10, 10, 'conv', 'pca')} points more on the autoencoder's code than on PCA's; with 100, "
            "where the error is nearly a quarter lower, half a point, less than its error, and the CNN one and a half.",
            f"From random weights, the MLP reaches {whole(C10, 'random_start', 100, 'mlp')} with 100 numbers, and "
            f"{whole(C10, 'conv', 100, 'mlp')} from the start at PCA.",
            f"On CIFAR-10 with 100 numbers the best probe reaches {whole(C10, 'features', 100)} on patch features ({minutes('features')} core minutes), "
            f"{whole(C10, 'self_supervised', 100)} on self-supervised features ({minutes('self_supervised')} core minutes) and "
            f"{whole(C10, 'both', 100)} on combined features.",
            f"with 100 numbers the error of combined features is {times(C10, 'both', 'conv', 100)} the autoencoder's. Half AE, half features, brings "
            f"that to {times(C10, 'both_50', 'conv', 100)}, still above PCA's, and the accuracy to {whole(C10, 'both_50', 100)}.",
            f"On the autoencoder's code with 100 numbers the linear probe reaches {whole(C10, 'conv', 100, 'linear')} and the CNN "
            f"{whole(C10, 'conv', 100, 'cnn')}; on combined features they reach {whole(C10, 'both', 100, 'linear')} and {whole(C10, 'both', 100, 'cnn')}.",
            f"the prior work reports {100 * PRIOR.accuracy[C10, 100]:.0f} % with its own classifier, and the MLP reaches "
            f"{whole(C10, 'pca', 100, 'mlp')} on PCA's code.",
            f"With 10 labelled images of each class of CIFAR-10, the probe reaches {few(C10, 'both', 10)} on combined features and "
            f"{few(C10, 'conv', 10)} on the autoencoder's code; the network from scratch reaches {few(C10, 'scratch', 10)}.",
            f"On the code of a random encoder the MLP reaches {whole(C10, 'random', 100, 'mlp')}, ten points less than on PCA's. "
            f"On raw pixels, without a bottleneck, the CNN reaches {whole(C10, 'pixels', 3072, 'cnn')}.",
            f"| this study, combined features | {pair('best')} | 100 numbers, {minutes('both')} core minutes, MLP probe; "
            f"linear probe {pair('linear')}, kNN {pair('knn')} |",
        ],
    }


CLAIMS = claims()
# numbers that are no results: of the set-up, of the data, and of other work
GIVEN = r"arxiv\.org/abs/[\d.]+|doi\.org/[^)]+|Python 3\.11|torch 2\.9 and 2\.14|8 bits/dim|2 x 170 MB|^\|.*\|$"


def text_of(name):
    if name == "README":
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    notebook = nbformat.read(ROOT / "run" / f"{name}.ipynb", as_version=4)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def flat(text):
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(("name", "claim"), [(name, claim) for name, found in CLAIMS.items() for claim in found])
def test_the_text_says_what_the_rows_say(name, claim):
    assert flat(claim) in flat(text_of(name))


@pytest.mark.parametrize("name", ["README", *NOTEBOOKS])
def test_no_number_is_without_its_claim(name):
    text = flat(re.sub(GIVEN, "", text_of(name), flags=re.M))
    for claim in CLAIMS.get(name, []):
        text = text.replace(flat(claim), "")
    assert re.findall(r".{30}\d+\.\d+.{10}|.{30}\d %.{10}", text) == []


def test_the_notebook_has_few_percentages():
    assert len(re.findall(r"\d %", text_of("master_notebook"))) <= 25


def is_read_better(dataset, size, name, other):
    """Whether the best probe of a code has more right than that of another, by more than twice the paired error."""
    probes = (BEST[dataset, code, size] for code in (name, other))
    difference, error = paired_difference(ANSWERS, dataset, size, name, other, *probes)
    return difference > 2 * error


@pytest.mark.parametrize("dataset", BOTH)
def test_trained_autoencoders_beat_pca_and_the_more_the_larger_the_code(dataset):
    shares = [error(dataset, "conv", size) / error(dataset, "pca", size) for size in SIZES]
    assert shares == sorted(shares, reverse=True) and shares[0] < 1 and 0.75 < shares[-1] < 0.8  # "up to a quarter"
    assert all((PRIOR.test_mse[dataset, d] > error(dataset, "pca", d)) == (d >= 50) for d in SIZES)
    for size in SIZES:
        assert abs(error(dataset, "vae", size) / error(dataset, "conv", size) - 1) < 0.01
        assert abs(accuracy(dataset, "vae", size, "mlp") - accuracy(dataset, "conv", size, "mlp")) < 1
        assert MEANS.loc[(dataset, "vae", size), "bits_per_dim"] > 6  # PNG's is below


@pytest.mark.parametrize("dataset", BOTH)
def test_the_class_gains_little(dataset):
    for size in SIZES:
        assert abs(accuracy(dataset, "conv", size, "mlp") - accuracy(dataset, "pca", size, "mlp")) < 4
    for name, other in (("conv", "pca"), ("pca", "conv"), ("vae", "pca")):
        errors, accuracies = ([of(dataset, name, size) for size in SIZES[::-1]] for of in (error, mlp))
        for size in SIZES:  # "at equal error, read between its points"
            at, reached = error(dataset, other, size), mlp(dataset, other, size)
            if errors[0] <= at <= errors[-1]:
                ahead = np.interp(at, errors, accuracies) - reached
                assert ahead > 0 if name == "pca" else ahead < 0


def test_the_best_probe_of_the_autoencoders_code_is_one_and_a_half_points_ahead_of_pcas():
    assert BEST[C10, "conv", 100] == BEST[C10, "pca", 100] == "cnn"
    assert 1.4 < paired_difference(ANSWERS, C10, 100, "conv", "pca", "cnn")[0] < 1.6
    of_mlp, its_error = paired_difference(ANSWERS, C10, 100, "conv", "pca", "mlp")
    assert 0.4 < of_mlp < 0.6 and of_mlp < 2 * its_error
    at_ten = paired_difference(ANSWERS, C10, 10, "conv", "pca", "mlp")[0]
    assert all(paired_difference(ANSWERS, C100, size, "conv", "pca", "mlp")[0] < at_ten for size in SIZES)


def mlp(dataset, name, size):
    return accuracy(dataset, name, size, "mlp")


@pytest.mark.parametrize(("dataset", "size"), [(C10, size) for size in SIZES] + [(C100, 100)])
def test_features_are_read_better_than_codes_for_the_image_by_the_best_probe_of_each(dataset, size):
    for name in ("features", "self_supervised", "both", "both_50"):
        assert is_read_better(dataset, size, name, "conv") and is_read_better(dataset, size, name, "pca")


def test_both_features_are_better_than_each_with_100_numbers():
    for dataset, name in product(BOTH, ("features", "self_supervised")):
        assert is_read_better(dataset, 100, "both", name)
    assert is_read_better(C10, 10, "both", "features")  # where it is the self-supervised code


def test_the_image_pays_for_features():
    for dataset in BOTH:
        assert error(dataset, "pca", 100) < error(dataset, "both_50", 100) < error(dataset, "both", 100)


def test_half_and_half_keeps_most_of_the_accuracy_at_little_of_the_added_error():
    for dataset, size in [(C10, size) for size in SIZES] + [(C100, 100)]:
        kept = [part(dataset, "both_50", size) - part(dataset, "conv", size) for part in (accuracy, error)]
        added = [part(dataset, "both", size) - part(dataset, "conv", size) for part in (accuracy, error)]
        assert kept[0] > 0.55 * added[0] and kept[1] < 0.27 * added[1]


def test_on_cifar100_the_self_supervised_code_has_no_more_bits_than_the_autoencoders():
    assert is_read_better(C100, 100, "self_supervised", "conv") and BEST[C100, "self_supervised", 100] == "mlp"
    bits = MEANS.bits_best[C100]
    assert bits["self_supervised", 100] <= bits["conv", 100]


def test_a_random_encoder_is_ten_points_behind_pca():
    assert 9.5 < mlp(C10, "pca", 100) - mlp(C10, "random", 100) < 10.5


def test_labels_are_ahead_of_all_codes_without():
    for name in ("conv", "pca", "features", "self_supervised", "both", "both_50"):
        assert is_read_better(C10, 100, "supervised", name)


def test_most_of_the_lead_of_features_is_one_under_a_weak_probe():
    weak, best = (accuracy(C10, "both", 100, probe) - accuracy(C10, "conv", 100, probe) for probe in ("linear", "best"))
    assert best < weak / 2


def test_combined_features_beat_a_network_from_scratch_up_to_100_labels_of_each_class():
    assert {count for dataset, code, count in FEW.index if dataset == C10} == {10, 50, 100, 500}
    for (dataset, code, count), reached in FEW.items():
        if code == "both":
            assert (reached > FEW[dataset, "scratch", count]) == (count <= 100)
    assert max(FEW[C100, code, 50] for code in ("features", "self_supervised")) < FEW[C100, "scratch", 50]


def test_the_appendix_says_what_training_and_other_losses_buy():
    pca = MEANS.loc[(C10, "pca", 100)]
    below = (TRAINING.val_mse < pca.val_mse).to_dict()
    assert below == {("conv", 2): True, ("conv", 4): True, ("conv", 8): True} | {
        ("random_start", 2): False,
        ("random_start", 4): True,
        ("random_start", 8): True,
    }
    from_random = TRAINING.loc["random_start"].accuracy_mlp
    assert from_random.is_monotonic_increasing and from_random.max() < pca.accuracy_mlp
    assert np.ptp(TRAINING.loc["conv"].accuracy_mlp) < 0.01
    for size, row in TUTORIAL[TUTORIAL.latent_dim <= 128].set_index("latent_dim").iterrows():
        assert error(C10, "conv", size) < row.test_mse and abs(mlp(C10, "conv", size) - 100 * row.accuracy_mlp) < 0.9
    noisy = NOISE.set_index(["autoencoder", "latent_dim", "noise"]).mse
    for size, level in product((10, 100), (0, 0.05, 0.1, 0.2, 0.3)):
        assert (noisy["denoising", size, level] < noisy["conv", size, level]) == (level >= 0.2)
    for size in SIZES:
        assert 1.045 < error(C10, "nested", size) / error(C10, "conv", size) < 1.075
        assert error(C10, "nested", size) < error(C10, "pca", size)
        assert abs(mlp(C10, "nested", size) - mlp(C10, "pca", size)) < 0.9
    for name in ("denoising", "masked"):
        assert error(C10, name, 100) > error(C10, "conv", 100)
        assert abs(mlp(C10, name, 100) - mlp(C10, "conv", 100)) < 1.2


def test_codes_for_the_image_bear_noise_and_blur_and_features_contrast_and_tint():
    table = CORRUPTION.pivot(index=["corruption", "level"], columns="autoencoder", values="accuracy")
    images, features = table[["pca", "conv"]], table[["features", "self_supervised", "both"]]
    for corruption in ("noise", "blur"):
        assert (images.loc[corruption].min(axis=1) > features.loc[corruption].max(axis=1)).loc[3:].all()
    for corruption in ("less contrast", "tint"):
        assert (images.loc[corruption].max(axis=1) < features.loc[corruption].min(axis=1)).all()


def test_ten_bytes_of_features_hold_more_of_the_class_than_the_autoencoders_code():
    rows = RATES[RATES.dataset == C10].set_index("name")
    for name in ("both", "both_50"):
        part = rows.loc[name]
        assert part[part.bytes <= 10].class_bits.max() > rows.loc["conv"].class_bits.max()
    for name in ("webp", "avif", "jpeg"):
        some = rows.loc[[name]]
        for row in some[some.payload < 66].itertuples():
            codes = rows.loc["conv"]
            assert codes[(codes.step > 0) & (codes.bytes <= row.payload)].mse.min() < row.mse


def test_equal_steps_cost_some_of_the_image_and_gain_some_of_the_class():
    rows, gains = RATES[(RATES.dataset == C10) & (RATES.name == "both_50") & (RATES.step > 0)], []
    for count in range(4, 61):
        few_bytes = rows[rows.bytes <= count].groupby("equal_steps")
        lowest, most = few_bytes.mse.min(), few_bytes.class_bits.max()
        assert lowest[True] > 0.99 * lowest[False]
        gains.append(most[True] > most[False])
    assert np.mean(gains) > 0.6


def test_epochs_images_and_seeds_are_as_many_as_the_text_says():
    epochs = {name: set(found) for name, found in RESULTS.groupby("autoencoder").epochs}
    for name in "conv vae random_start supervised".split():
        assert epochs[name] == {8}
    for name in "features self_supervised both both_50".split():
        assert epochs[name] == {4}
    assert epochs["spatial"] == {5}
    assert {*RESULTS.train_images} == {45_000} and {*RESULTS.test_images} == {10_000} and {*RESULTS.seed} == {0}
    assert LEARNT_FROM == 20_000


def more_results():
    """The second table of the README: error and accuracy at the two ends."""
    shown, lines = [(C10, 10), (C10, 100), (C100, 10), (C100, 100)], {}
    for name in ("pca", "conv", "vae", "both_50", "features", "self_supervised", "both"):
        lines[label(name)] = {
            f"{dataset}, d = {size}": f"{1000 * error(dataset, name, size):.1f}, {accuracy(dataset, name, size):.1f}"
            for dataset, size in shown
            if (dataset, name, size) in MEANS.index
        }
    return tables.as_markdown(pd.DataFrame.from_dict(lines, orient="index").rename_axis("code"))


def test_the_readmes_tables_are_those_of_the_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert more_results() in text
    assert tables.as_markdown(tables.overview(RESULTS, C10, 100, ON_FIRST_SCREEN)) in text
    assert len(text.splitlines()) <= 150

"""Every number in the text of the README and the notebooks is that of the committed full study.

`CLAIMS` says what the text says, with the numbers computed from `reports/results.csv`. A text whose number is in no claim fails.
"""

import re

import nbformat
import pytest

from src.baseline import PRIOR_WORK
from src.report import tables
from src.study.checkpoints import read_results
from src.utils import ROOT

RESULTS = read_results()
MEANS = RESULTS.groupby(["dataset", "autoencoder", "latent_dim"]).mean(numeric_only=True)
PRIOR = PRIOR_WORK.set_index(["dataset", "latent_dim"])
SIZES, BOTH = (10, 20, 50, 100), ("CIFAR10", "CIFAR100")


def accuracy(dataset, name, size, probe="mlp"):
    return 100 * MEANS.loc[(dataset, name, size), f"accuracy_{probe}"]


def error(dataset, name, size):
    return MEANS.loc[(dataset, name, size), "test_mse"]


def share(dataset, name, size):
    return 100 * error(dataset, name, size) / error(dataset, "pca", size)


def ends(value, *where):
    return tuple(f"{value(*where, size):.1f} %" for size in (10, 100))


def objectives(dataset):
    names = ("conv", "denoising", "masked")
    values = [round(accuracy(dataset, name, 100), 1) for name in names]
    return min(values), max(values)


def more_error(name, other, dataset, size):
    return 100 * error(dataset, name, size) / error(dataset, other, size) - 100


def text_of(name):
    if name == "README":
        return re.sub(r"^\|.*\|$|^```.*?^```", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M | re.S)
    notebook = nbformat.read(ROOT / "run" / f"{name}.ipynb", as_version=4)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def claims():
    """Phrases with their numbers, by text."""
    c10, c100 = (
        (*ends(share, d, "conv"), *ends(accuracy, d, "conv"), *ends(accuracy, d, "pca"), accuracy(d, "pixels", 3072))
        for d in BOTH
    )
    linear, knn, mlp, cnn = (accuracy("CIFAR10", "conv", 100, probe) for probe in ("linear", "knn", "mlp", "conv"))
    low, high = objectives("CIFAR10")
    low100, high100 = objectives("CIFAR100")
    assert low == high
    clear = " ".join(tables.difference_to_pca(RESULTS, "conv").to_numpy().ravel())
    nested = [more_error("nested", "conv", "CIFAR10", size) for size in SIZES]
    worst = max(more_error(name, "conv", d, 100) for name in ("denoising", "masked") for d in BOTH)
    bits = [MEANS.loc[("CIFAR10", "vae", size), "bits_per_dim"] for size in (10, 100)]
    random, pca = (accuracy("CIFAR10", name, 100) for name in ("random", "pca"))
    vae = max(abs(more_error("vae", "conv", d, size)) for d in BOTH for size in SIZES)
    counts = {text: clear.count(text) for text in ("**+", "**-")}
    words = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
    return {
        "README": [
            "is {} to {} of PCA's".format(*c10[:2]),
            "an accuracy of {} to {} on its code, {} to {} on PCA's and {:.1f} % on all pixels".format(*c10[2:]),
            "the error is {} to {} of PCA's, and the accuracies are {} to {}, {} to {} and {:.1f} %".format(*c100),
        ],
        "master_notebook": [
            "the squared error of the convolutional autoencoder is {} to {} of PCA's".format(*c10[:2]),
            "an accuracy of {} to {} on its code, {} to {} on PCA's code and {:.1f} % on all pixels".format(*c10[2:]),
            "The error is {} to {} of PCA's; the MLP probe has {} to {} on its code, {} to {} on PCA's and {:.1f} % on".format(
                *c100
            ),
            f"on CIFAR-10 by {100 - share('CIFAR10', 'conv', 10):.1f} % at d = 10 and by "
            f"{100 - share('CIFAR10', 'conv', 100):.1f} % at d = 100",
            f"has the same error to within {vae:.1f} %",
            f"costs {MEANS.loc[('CIFAR10', 'vae', 100), 'kl_nats']:.0f} nats",
            "falls from {:.2f} to {:.2f} bits/dim".format(*bits),
            f"from {linear:.1f} % (linear) over {knn:.1f} % (kNN) and {mlp:.1f} % (MLP) to {cnn:.1f} % (CNN)",
            f"{words[sum(counts.values())]} of 32 differences are larger than their spread, {words[counts['**+']]} for the "
            f"autoencoder and {words[counts['**-']]} against it",
            f"reports {100 * PRIOR.accuracy['CIFAR10', 100]:.1f} %",
            f"the MLP probe has {random:.1f} % on the code of a random encoder",
            f"training adds {mlp - random:.1f} points to the random encoder, and PCA, without training, {pca - random:.1f}",
            f"code has {accuracy('CIFAR10', 'supervised', 10):.1f} % at d = 10",
            f"much more of the class than {accuracy('CIFAR10', 'conv', 10):.1f} %",
            f"{accuracy('CIFAR10', 'supervised', 100):.1f} % at d = 100 is less than a convolutional network has on the "
            f"original images, {accuracy('CIFAR10', 'pixels', 3072, 'conv'):.1f} %",
        ],
        "appendix": [
            f"{accuracy('CIFAR10', 'denoising', 100):.1f} % beside {mlp:.1f} % at d = 100 on CIFAR-10",
            f"all have an accuracy of {low:.1f} %, on CIFAR-100 between {low100:.1f} % and {high100:.1f} %, while the error "
            f"rises by up to {worst:.1f} %",
            f"at {min(nested):.1f} % to {max(nested):.1f} % more error on CIFAR-10",
        ],
    }


CLAIMS = claims()
# numbers that are no results: of the set-up, and of the data
GIVEN = r"noise of 0\.2|Python 3\.11|torch 2\.14 and 2\.9|8 bits/dim|2 x 170 MB"


def flat(text):
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(("name", "claim"), [(name, claim) for name, found in CLAIMS.items() for claim in found])
def test_the_text_says_what_the_rows_say(name, claim):
    assert flat(claim) in flat(text_of(name))


@pytest.mark.parametrize("name", ["README", "master_notebook", "appendix", "data_exploration", "try_your_own"])
def test_no_number_is_without_its_claim(name):
    text = flat(text_of(name))
    for claim in CLAIMS.get(name, []):
        text = text.replace(flat(claim), "")
    assert re.findall(r".{30}\d+\.\d+.{10}|.{30}\d %.{10}", re.sub(GIVEN, "", text)) == []


@pytest.mark.parametrize("dataset", BOTH)
def test_what_the_text_compares_in_words(dataset):
    for size in SIZES:
        assert share(dataset, "conv", size) < 100  # below PCA at every size
        difference = accuracy(dataset, "conv", size) - accuracy(dataset, "pca", size)
        assert abs(round(difference, 1)) <= 0.5  # the same to within half a point
        assert abs(accuracy(dataset, "denoising", size) - accuracy(dataset, "conv", size)) <= 1.0
        assert accuracy(dataset, "nested", size) > accuracy(dataset, "conv", size) - 0.6
        assert share(dataset, "nested", size) < 100
        assert MEANS.loc[(dataset, "vae", size), "active_units"] == size  # the code is used in full
        assert (PRIOR.test_mse[dataset, size] > error(dataset, "pca", size)) == (size >= 50)
    assert accuracy(dataset, "conv", 50) < accuracy(dataset, "pixels", 3072) < accuracy(dataset, "conv", 100)


def test_the_readmes_tables_are_those_of_the_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    kept = ["conv", "vae", "denoising", "pca", "spatial"]
    for table in (
        tables.error_table(RESULTS[RESULTS.autoencoder.isin(kept)]),
        tables.accuracy_table(
            RESULTS[RESULTS.autoencoder.isin([*kept, "pixels", "random", "supervised", "spatial_finetuned"])]
        ),
        tables.probe_table(RESULTS, "conv"),
    ):
        assert tables.as_markdown(table) in text

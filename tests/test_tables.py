import pandas as pd
import pytest

from src.report import tables


def test_the_error_table_has_means_by_size(results):
    table = tables.error_table(results)
    assert table.loc[("CIFAR10", "convolutional AE"), "d = 10"] == "18.00"
    assert table.loc[("CIFAR10", "PCA"), "d = 10"] == "20.00"
    assert table.loc[("CIFAR100", "8x4x4 code, frozen"), "fixed size"] == "20.00 (128)"
    assert list(table.columns) == ["d = 10", "d = 20", "d = 50", "d = 100", "fixed size", "seeds"]


def test_several_seeds_have_their_deviation_and_are_counted(results):
    conv = results[results.autoencoder == "conv"]
    table = tables.accuracy_table(pd.concat([results, conv.assign(seed=1, accuracy_mlp=conv.accuracy_mlp + 0.02)]))
    assert table.loc[("CIFAR10", "convolutional AE"), ["d = 10", "seeds"]].tolist() == ["41.0 ± 1.4", "2"]
    assert table.loc[("CIFAR10", "PCA"), ["d = 10", "seeds"]].tolist() == ["40.0", "1"]


def test_the_overview_has_image_class_and_cost_of_each_code(results):
    rows = results.assign(bits_mlp=1.5, bits_cnn=2.0)
    table = tables.overview(rows, "CIFAR10", 100, ["pca", "conv", "supervised", "nested"])
    assert table.loc["convolutional AE"].tolist() == ["1.8", "60.0", "CNN", "2.00", "0.2"]
    assert table.loc["supervised encoder"].tolist() == ["", "55.0", "MLP", "2.00", "0.3"]
    assert table.index.tolist() == ["PCA", "convolutional AE", "supervised encoder"]
    assert "| PCA | 2.0 |" in tables.folded("all", table) and "<summary>all</summary>" in tables.folded("all", table)


def test_the_difference_to_pca_is_paired(results, answers):
    difference = tables.difference_to_pca(results, "conv", answers)
    assert (
        difference.loc[("CIFAR10", "CNN"), "d = 10"] == "**+3.0** ± 1.1"
    )  # of a thousand images, on 30 of which they differ
    assert difference.loc[("CIFAR10", "MLP"), "d = 10"] == "+0.0 ± 0.0"
    few = {key: is_right[::20] for key, is_right in answers.items()}
    assert tables.difference_to_pca(results, "conv", few).loc[("CIFAR10", "CNN"), "d = 10"].startswith("+4.0 ± 5")


@pytest.mark.parametrize("keep", [["vae"], ["conv"], ["pca"], []])
def test_what_was_not_run_is_left_out(results, keep):
    some, png = (
        results[results.autoencoder.isin(keep) & (results.latent_dim == 100)],
        {"CIFAR10": 5.889, "CIFAR100": 5.8},
    )
    for table in (
        tables.error_table(some),
        tables.difference_to_pca(some, "conv", {}),
        tables.information_table(some, png),
    ):
        assert tables.as_markdown(table)
    assert tables.as_markdown(tables.information_table(some, png)).startswith("| data set") == (keep == ["vae"])


def test_what_a_code_costs_stands_beside_png(results):
    table = tables.information_table(results[results.autoencoder == "vae"], {"CIFAR10": 5.889, "CIFAR100": 5.8})
    assert list(table.columns) == ["KL (nats per image)", "active units", "bound (bits/dim)", "PNG (bits/dim)"]
    assert {*table.loc["CIFAR10", "PNG (bits/dim)"]} == {"5.89"} and {*table.loc["CIFAR100", "PNG (bits/dim)"]} == {
        "5.80"
    }


def test_an_autoencoder_that_is_not_defined_here_has_its_name(results):
    table = tables.error_table(results.replace({"autoencoder": {"vae": "someone's"}}))
    assert table.loc[("CIFAR10", "someone's"), "d = 100"] == "1.90"

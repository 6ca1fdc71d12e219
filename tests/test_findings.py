"""Sentences must say what the rows say: each is checked on a table whose numbers are known, and on its reverse."""

import numpy as np
import pandas as pd
import pytest

from src import appendix, class_findings, findings, latent_findings
from src.baseline import PRIOR_WORK
from src.experiment import Settings
from src.utils import ROOT


def test_the_headline_has_the_numbers_of_its_rows(results):
    text = findings.headline(results)
    assert "0.0180 to 0.0018" in text and "90.0 % and 90.0 % of what PCA leaves" in text
    assert "40.0 % to 55.0 %" in text and "pixel values gets 41.0 %" in text
    assert "SAMPLE" not in text and "SAMPLE" in findings.headline(results.assign(is_sample=True))


def test_without_a_table_the_headline_says_so(results):
    assert "no results" in findings.headline(results[:0])


def test_seeds_are_averaged(results):
    other = results.assign(seed=1, test_mse=2 * results.test_mse)
    assert "0.0270 to 0.0027" in findings.headline(pd.concat([results, other]))


def test_the_reconstruction_is_compared_as_it_came_out(results):
    text = findings.reconstruction(results, PRIOR_WORK)
    assert "convolutional AE: 90.0 %, 90.0 %, 90.0 %, 90.0 % of PCA's error" in text
    assert "below PCA at 4 of 4 sizes" in text and "lower at 4 of 4 sizes" in text
    worse = results.assign(test_mse=results.test_mse.where(results.autoencoder == "pca", 1.0))
    text = findings.reconstruction(worse, PRIOR_WORK)
    assert "below PCA at 0 of 4 sizes" in text and "lower at 0 of 4 sizes." in text


def test_the_bound_is_said_to_fall_only_if_it_does(results):
    assert ", lower with every larger code" in findings.information(results)
    assert "not always lower" in findings.information(results.assign(bits_per_dim=results.latent_dim / 10))


def test_classification_quotes_codes_baselines_and_the_prior_work(results):
    text = class_findings.classification(results, PRIOR_WORK)
    assert "CIFAR10, convolutional AE: 40.0 %, 45.0 %, 50.0 %, 55.0 %" in text
    assert "+5.0 points from 10 to 20, +5.0 points from 20 to 50" in text
    assert "+0.7, +0.0, +1.1, +4.7 points" in text
    assert "CIFAR100: against the prior work" not in text


def test_confusions_name_the_best_the_worst_and_the_pair():
    truth = np.repeat([0, 1, 2], 10)
    predicted = np.array([0] * 10 + [1] * 6 + [2] * 4 + [2] * 8 + [0] * 2)
    text = class_findings.confusions("PETS", truth, predicted, ("cat", "dog", "eel"))
    assert "best is cat (100.0 %), worst dog (60.0 %)" in text
    assert "dog for eel (40.0 %), eel for cat (20.0 %)" in text


def test_training_says_whether_it_was_at_its_end():
    def run(last):
        return [{"val_reconstruction": v, "train_reconstruction": v / 1.1} for v in (1.0, 0.5, last)]

    histories = {(name, 10): run(0.4) for name in ("conv", "vae")}
    text = findings.training(histories, "CIFAR10")
    assert "60.0" in text and "20.0" in text and "10.0" in text


def test_training_of_one_epoch_has_its_sentence_too():
    history = [{"val_reconstruction": 1.1, "train_reconstruction": 1.0}]
    text = findings.training({("conv", 10): history, ("vae", 10): history}, "CIFAR10")
    assert "+0.0 to +0.0 % from the last epoch but one" in text and "+10.0 to +10.0 % from the training error" in text


def test_trade_offs_and_baselines_are_differences_of_the_rows(results):
    text = findings.trade_offs(results)
    assert "+5.6 to +5.6 %" in text and "+0.0 to +0.0 points" in text and "1.50 to 1.50 times" in text
    text = class_findings.baselines(results)
    assert "+0.0, +0.0, +0.0, +0.0 points beside PCA's code" in text and "0.0200" in text and "0.0018" in text


def test_targets_are_said_to_be_reached_only_where_they_are(results):
    compared = appendix.compare_with_targets(results)
    assert len(compared) == 4 * 8 and compared.groupby("what").size()["conv: test MSE, share of PCA's"] == 8
    first = compared.iloc[0]
    assert first.measured == pytest.approx(0.9) and first.reached and first.target == "at most 0.97"
    assert "CIFAR10, conv: accuracy of the MLP, d = 10: 0.4, the mark is at least 0.42" in appendix.targets(compared)
    assert appendix.targets(compared[compared.reached]).endswith("marks are reached.\n")
    best = compared[compared.what == "conv: accuracy of the best reader"].measured
    assert best.tolist() == pytest.approx([0.46, 0.51, 0.56, 0.61])


def test_readers_are_compared_with_each_other_and_on_the_code_of_pca(results):
    text = class_findings.readers(results)
    assert (
        "MLP and convolutions together (46.0 %)" in text and "+11.0, +16.0, +21.0, +26.0 points over the linear" in text
    )
    assert "+5.0, +5.0, +5.0, +5.0 points over the MLP, and both together +6.0, +6.0, +6.0, +6.0" in text
    assert "+0.0, +0.0, +0.0, +0.0 points to the MLP, +3.0, +3.0, +3.0, +3.0 to the" in text
    table = class_findings.readers_table(results).splitlines()
    assert table[0] == "| | d = 10 | d = 20 | d = 50 | d = 100 |" and len(table) == 2 + 2 * 5
    assert "| CIFAR10, MLP | 40.0 % | 45.0 % | 50.0 % | 55.0 % |" in table


def test_error_and_accuracy_are_said_to_agree_only_if_they_do(results):
    assert "rank correlation of error and accuracy is -0.9" in class_findings.error_against_accuracy(results)
    results = results.assign(accuracy_mlp=results.test_mse)
    assert "correlation of error and accuracy is +1.00" in class_findings.error_against_accuracy(results)
    assert "best to read at 0 of 4" in class_findings.error_against_accuracy(results)


def test_objectives_are_compared_with_the_plain_one(results):
    rows = results[(results.latent_dim == 100) & results.autoencoder.isin(["conv", "denoising"])]
    text = class_findings.objectives(rows)
    assert "denoising AE: +0.0 points" in text and "error +2.2 %, time 1.20 times" in text and "0 of 1" in text
    better = rows.assign(accuracy_mlp=rows.accuracy_mlp + 0.01 * (rows.autoencoder == "denoising"))
    assert "1 of 1 objectives are better for the MLP than the plain squared error (denoising AE)" in (
        class_findings.objectives(better)
    )


def test_denoising_is_judged_on_clean_and_on_noisy_images(results):
    rows = [
        {"dataset": "CIFAR10", "autoencoder": name, "latent_dim": 10, "noise": noise, "mse": mse}
        for name, values in (("conv", (0.02, 0.04)), ("denoising", (0.021, 0.03)))
        for noise, mse in zip((0.0, 0.2), values, strict=True)
    ]
    text = findings.denoising(pd.DataFrame(rows), results)
    assert "+5.0 to +5.0 % on clean images and -25.0 to -25.0 % at a noise of 0.2" in text


def test_the_gains_of_classes_are_named(tiny):
    wrong = np.roll(tiny.y_test, 1)
    right = np.where(tiny.y_test == 3, tiny.y_test, wrong)
    text = class_findings.class_accuracy({10: wrong, 100: right}, tiny)
    assert "cat gains most" in text and "1 of 10" in text


def test_looks_into_the_code_are_put_into_words():
    text = latent_findings.samples({"originals": 0.1, "reconstructions": 0.05, "samples": 0.04})
    assert "50.0 %" in text and "40.0 %" in text and "no more of it" in text
    assert "hardly more than" in latent_findings.interpolations(1.0, 0.7, 0.71)
    assert "other than" in latent_findings.interpolations(1.0, 0.9, 0.6)
    assert "comes from 1 of 3 units" in latent_findings.traversals(np.array([1.0, 8.0, 1.0]))
    assert "30.0 % (code), 40.0 % (pixels) of the cases, most often by: pixels" in (
        latent_findings.neighbours({"code": 0.3, "pixels": 0.4})
    )
    assert "loses" in latent_findings.latent_map(0.2, 0.3, 0.1)


def test_the_search_names_the_best():
    trials = pd.DataFrame(
        {"dataset": "CIFAR10", "what": "MLP", "latent_dim": 10, "setting": ["one (taken)", "two"], "autoencoder": "a"}
    )
    text = appendix.search(trials.assign(val_accuracy=[0.5, 0.6]))
    assert "of 2 trials" in text and "60.0 %, is that of: two (a); what was taken has 50.0 %" in text


def test_the_spread_is_given_where_there_is_one(results):
    text = findings.results_table(
        pd.concat([results, results.assign(seed=1, test_mse=2 * results.test_mse)]), PRIOR_WORK
    )
    assert "| CIFAR10 MSE, convolutional AE | 0.0270 ± 0.0127 |" in text


def test_effort_and_limits_count(results):
    text = findings.effort(results)
    assert text.startswith(f"{len(results)} experiments") and "16 pairs" in text and "4.7 minutes of one core" in text
    assert "One seed" not in findings.effort(results[results.autoencoder == "pca"])
    text = findings.limits(results, Settings())
    assert "45,000 training images" in text and "seed 0" in text and "nothing is said about the spread" in text
    both = pd.concat([results, results.assign(seed=1)])
    assert "seeds 0, 1" in findings.limits(both, Settings()) and "spread" not in findings.limits(both, Settings())


def test_data_says_what_it_is_and_what_is_missing(sample, tiny100):
    text = findings.data([sample], ["CIFAR10", "CIFAR100"])
    assert "4,500 images to train on" in text and "SAMPLE" in text and "CIFAR100 was not available" in text
    text = findings.data([tiny100], ["CIFAR100"])
    assert "SAMPLE" not in text and "not available" not in text


def test_the_table_has_a_column_a_latent_size(results):
    lines = findings.results_table(results, PRIOR_WORK).splitlines()
    assert lines[0] == "| | d = 10 | d = 20 | d = 50 | d = 100 |"
    assert {line.count("|") for line in lines} == {6}
    assert "| CIFAR10 accuracy, convolutional AE | 40.0 % | 45.0 % | 50.0 % | 55.0 % |" in lines


@pytest.mark.parametrize("part", [findings.headline, lambda results: findings.results_table(results, PRIOR_WORK)])
def test_the_readme_quotes_the_committed_results(part):
    results = pd.read_csv(ROOT / "reports" / "results.csv")
    assert part(results) in (ROOT / "README.md").read_text()

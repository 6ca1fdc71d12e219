"""What the two further codes say, in words, computed from the rows of `reports/results.csv`."""

from src.style import LABELS
from src.wording import in_points, listed, mean_over_seeds, percent, table_by_size


def one_for_all(results):
    """What one nested code for all sizes costs beside a separate autoencoder for each, in a few sentences."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        mse, accuracy = mean_over_seeds(rows, "test_mse"), mean_over_seeds(rows, "accuracy_mlp")
        sizes = [size for size in mse["nested"].index if size in mse["conv"].index]
        more = [f"{100 * (mse['nested', size] / mse['conv', size] - 1):+.1f}" for size in sizes]
        points = [100 * (accuracy["nested", size] - accuracy["conv", size]) for size in sizes]
        below = sum(mse["nested", size] < mse["pca", size] for size in sizes)
        lines.append(
            f"- {dataset}: at d = {listed(sizes)}, the error from the first numbers of one nested code is {listed(more)} % beside that "
            f"of an autoencoder of that size alone, and the MLP's accuracy {in_points(points)} points. The nested error is "
            f"below PCA's at {below} of {len(sizes)} sizes. One training stands in for {len(sizes)}."
        )
    return "\n".join(lines)


def one_for_all_table(results):
    """Error and accuracy of separate and nested codes by latent size, as a Markdown table."""
    sizes, table = sorted(results[results.autoencoder == "nested"].latent_dim.unique()), {}
    for column, label, write in (("test_mse", "MSE", "{:.4f}".format), ("accuracy_mlp", "accuracy", percent)):
        for dataset, rows in results.groupby("dataset"):
            means = mean_over_seeds(rows, column)
            for name in ("conv", "nested", "pca"):
                table[f"{dataset} {label}, {LABELS[name]}"] = [write(means[name, size]) for size in sizes]
    return table_by_size(sizes, table)


def transfer(results, why_not=""):
    """What can be read from features that were learnt on ImageNet; or why that is left out."""
    if why_not:
        return f"The pretrained ResNet-18 is left out: {why_not}."
    lines = []
    for dataset, rows in results[results.autoencoder == "resnet18"].groupby("dataset"):
        ours = (
            results[(results.dataset == dataset) & (results.autoencoder == "conv")].groupby("latent_dim").accuracy_mlp
        )
        size, accuracy = max(ours.groups), ours.mean()
        lines.append(
            f"- {dataset}: from the {int(rows.latent_dim.max())} features of a {LABELS['resnet18']} the linear reader reads "
            f"{percent(rows.accuracy_linear.mean())}, the neighbours {percent(rows.accuracy_knn.mean())} and the MLP "
            f"{percent(rows.accuracy_mlp.mean())}, where the MLP reads {percent(accuracy[size])} from the convolutional code "
            f"of {size} numbers. Those features were learnt with labels, from other images and a thousand classes."
        )
    return "\n".join(lines)

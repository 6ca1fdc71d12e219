"""The sweep on a cluster of separate processes, one of which dies half-way: the rows are those of a run on one machine."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import repository
from test_kills import SCRIPT, alone, assert_same  # noqa: F401 (a fixture)

pytest.importorskip("distributed")
ON_CLUSTER = SCRIPT.replace(
    '    run_sweep(grid(["CIFAR10"], ["vae", "conv"], [4, 3], [1]), 2, sample=True, settings=quick)\n',
    """    import joblib
    from distributed import Client
    with Client(scheduler_file="scheduler.json"), joblib.parallel_config(backend="dask"):
        run_sweep(grid(["CIFAR10"], ["vae", "conv"], [4, 3], [1]), sample=True, settings=quick)
""",
)


def launch(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments, "--scheduler-file", "scheduler.json"],
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_cluster_that_loses_a_worker_gives_the_same_rows(tmp_path, alone):  # noqa: F811
    folder = repository(tmp_path / "cluster", ON_CLUSTER)
    workers = ["worker", "--nthreads", "1", "--nworkers", "1", "--no-dashboard"]
    processes = [launch(folder, "scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")]
    try:
        while not (folder / "scheduler.json").exists():
            time.sleep(0.2)
        processes += [launch(folder, *workers), launch(folder, *workers)]
        sweep = subprocess.Popen(
            [sys.executable, "go.py"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        table = folder / "reports" / "sample" / "results.csv"
        while not table.exists() and sweep.poll() is None:
            time.sleep(0.1)
        os.killpg(processes[1].pid, signal.SIGKILL)  # one experiment has ended; the others are under way or wait
        output, _ = sweep.communicate()
        assert sweep.returncode == 0, output
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
    assert_same(folder, alone)

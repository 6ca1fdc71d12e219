"""Sweeps that are killed at random moments, or run twice at once, end with the rows and weights of one left alone."""

import os
import random
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from conftest import TIMES, repository

KILLS = 25
LONGEST = 1.5  # seconds that a sweep lives after it has written a file, before it is killed
SCRIPT = """if __name__ == "__main__":
    from src.study.experiment import Settings, grid
    from src.study.sweep import run_sweep
    from src.train import TrainConfig
    once = TrainConfig(epochs=2, batch_size=256)
    quick = Settings(train=TrainConfig(epochs=4), views=2, mlp=once, cnn=once)
    run_sweep(grid(["CIFAR10"], ["vae", "conv"], [4, 3], [1]), 2, sample=True, settings=quick)
"""


def start(folder):
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "go.py"], cwd=folder, start_new_session=True, **streams)


def results(folder):
    """The rows without their times, and every tensor of every checkpoint."""
    table = pd.read_csv(folder / "reports" / "sample" / "results.csv").drop(columns=TIMES)
    saved = {
        path.name: torch.load(path, weights_only=True) for path in sorted((folder / "models" / "sample").glob("*.pt"))
    }
    states = {(name, key): value for name, file in saved.items() for key, value in file["state"].items()}
    predictions = {(name, probe): x for name, file in saved.items() for probe, x in file["predictions"].items()}
    return table, states | predictions


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = repository(tmp_path_factory.mktemp("alone"), SCRIPT)
    process = start(folder)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return results(folder)


def assert_same(folder, alone):
    (table, states), (expected, expected_states) = results(folder), alone
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert states.keys() == expected_states.keys()
    assert all(torch.equal(states[key], value) for key, value in expected_states.items())
    assert not list((folder / "models" / "sample" / "in_training").glob("*.pt"))


def files_of(folder):
    """The states of training and the checkpoints that are there, by path, each with the time of its last change."""
    found = {}
    for path in (folder / "models").rglob("*.pt"):
        if not path.name.startswith("."):
            try:
                found[path] = path.stat().st_mtime_ns
            except FileNotFoundError:  # it has just been taken away
                continue
    return found


def has_written(process, folder):
    """Wait until a sweep has written a file; False where it has ended before."""
    before = files_of(folder)
    while process.poll() is None:
        now = files_of(folder)
        if any(before.get(path) != changed for path, changed in now.items()):
            return True
        time.sleep(0.02)
    return False


def test_a_sweep_that_is_killed_again_and_again_ends_as_one_left_alone(tmp_path, alone):
    rng, kills, met, rounds = random.Random(0), 0, 0, 0
    while kills < KILLS:
        folder = repository(tmp_path / str(rounds), SCRIPT)
        rounds += 1
        process = start(folder)
        while kills < KILLS and has_written(process, folder):
            time.sleep(rng.uniform(0, LONGEST))
            if process.poll() is not None:
                break
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            met += any((folder / "models" / "sample" / "in_training").glob("[!.]*.pt"))
            process = start(folder)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        assert_same(folder, alone)
    print(f"{kills} kills in {rounds} sweeps, {met} of them beside a state of training: the same rows and weights")
    assert met >= KILLS / 2


def test_of_two_sweeps_at_once_one_stops_and_nothing_is_lost(tmp_path, alone):
    folder = repository(tmp_path / "both", SCRIPT)
    processes = [start(folder), start(folder)]
    outputs = [process.communicate()[0] for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes == [0, 1] and sum("another sweep is at work" in output for output in outputs) == 1
    assert_same(folder, alone)


def test_a_worker_that_is_killed_is_reported_and_its_experiment_can_be_run_again(tmp_path, alone):
    folder = repository(tmp_path / "worker", SCRIPT)
    process = start(folder)
    workers = []
    while not workers and process.poll() is None:
        found = subprocess.run(["pgrep", "-f", "-s", str(process.pid), "LokyProcess"], capture_output=True, text=True)
        workers = found.stdout.split()
        time.sleep(0.2)
    time.sleep(3)
    os.kill(int(workers[0]), signal.SIGKILL)
    output, _ = process.communicate()
    assert process.returncode == 1 and "a worker was killed" in output and "run again for CIFAR10" in output
    process = start(folder)
    assert "experiments to run" in process.communicate()[0] and process.returncode == 0
    assert_same(folder, alone)

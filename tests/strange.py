"""Models and data that misbehave, as third parties' might; named by class_path in the tests of the harness."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rnnbench.architectures import Elman
from rnnbench.data import Adding, Splits
from rnnbench.errors import DataUnavailable


class Raises(Elman):
    """Fails like any program."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        print("about to fail")
        raise KeyError("nothing there")


class Diverges(Elman):
    """Its loss is soon no number."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) * float("nan")


class Dies(Elman):
    """Is killed by the system."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class DiesOnce(Elman):
    """Is killed by `RNNBENCH_SIGNAL` at its eighth step, but not again."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        marker = Path(os.environ["RNNBENCH_TEST"], f"{type(self).__name__}-{os.environ.get('LOCAL_RANK', '')}")
        if self.global_step == 8 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), int(os.environ["RNNBENCH_SIGNAL"]))
        return super().training_step(batch, batch_idx)


class Fat(Elman):
    """Uses a gigabyte."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.fat = torch.ones(2**28)
        time.sleep(0.05)
        return super().training_step(batch, batch_idx)


class Hungry(Elman):
    """Has memory for eight rows of a batch; in its second process, if there is one, for four."""

    def hidden(self, stage: Any, batch: Any) -> Tensor:
        if stage == "train" and len(batch[0]) > (4 if os.environ.get("LOCAL_RANK") == "1" else 8):
            raise torch.OutOfMemoryError("tried to allocate too much")
        return super().hidden(stage, batch)


class Stubborn(Elman):
    """Does not listen to SIGTERM, and is in no hurry."""

    def on_train_start(self) -> None:
        super().on_train_start()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(0.3)
        return super().training_step(batch, batch_idx)


class Exits(Elman):
    """Leaves without a word."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        os._exit(3)


class Greedy(Elman):
    """Wants more memory than there is."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return torch.empty(2**60)


class Slow(Elman):
    """Takes its time."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        time.sleep(0.1)
        return super().training_step(batch, batch_idx)


class Swallows(Elman):
    """Is interrupted, and lets nobody know."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        return super().training_step(batch, batch_idx)


class Refuses(Elman):
    """Cannot be made."""

    def __init__(self, hidden_size: int) -> None:
        raise KeyError("not today", hidden_size)


class Tells(Elman):
    """Prints what it sees of its process."""

    def on_fit_start(self) -> None:
        super().on_fit_start()
        names = ("CUDA_VISIBLE_DEVICES", "RNNBENCH_TEST")
        print("SEES", {name: os.environ.get(name) for name in names}, torch.get_num_threads(), os.getpid())


class Peeks(Adding):
    """Notes whenever its test part is read."""

    def test_dataloader(self) -> Any:
        with Path(os.environ["RNNBENCH_TEST"]).open("a") as file:
            file.write("test\n")
        return super().test_dataloader()


class Nowhere(Adding):
    """Its archive is gone."""

    def make(self, folder: Path) -> Splits:
        raise DataUnavailable("the archive is gone")


class NoFile(Adding):
    """Reads a file that is not there."""

    def make(self, folder: Path) -> Splits:
        Path("nowhere.csv").read_text("utf-8")
        return super().make(folder)


class NoFacts(Adding):
    """Is made, but cannot say what it is."""

    def facts(self) -> dict[str, Any]:
        raise TypeError("not ours")


class Sometimes(Adding):
    """Cannot be made, nor read, while `RNNBENCH_TEST` says so."""

    def prepare_data(self) -> None:
        if os.environ["RNNBENCH_TEST"] == "gone":
            raise ConnectionError("no network")
        super().prepare_data()

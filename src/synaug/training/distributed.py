"""Train with several processes, started by ``accelerate launch``, each on its own share of every batch.

With one process, nothing here has an effect. With several, each step's batch is the same as with one and is divided
among them, gradients are averaged, and only the first process writes. Normalization layers see only their own share.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from synaug.errors import OptionError


@dataclass(frozen=True)
class Team:
    """The processes that train together: their number, and the rank of this one."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and shows progress."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """Check that a batch can be divided evenly.

        Raises:
            OptionError: it cannot.
        """
        if batch_size % self.size or batch_size // self.size < 2:
            raise OptionError(
                f"A batch of {batch_size} images cannot be divided among {self.size} processes with "
                f"at least 2 each; allowed: multiples of {self.size} from {2 * self.size}."
            )

    def share(self, rows: np.ndarray) -> np.ndarray:
        """Return this process's part of a batch.

        >>> Team(rank=1, size=2).share(np.array([5, 6, 7, 8])).tolist()
        [6, 8]
        """
        return rows[self.rank :: self.size]

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        if self.size == 1:
            return values
        values = values.detach().clone()
        torch.distributed.all_reduce(values)
        return values / self.size

    def together(self, model: nn.Module) -> nn.Module:
        """Return the network with its gradients averaged over all processes."""
        return model if self.size == 1 else DistributedDataParallel(model)

    def wait(self) -> None:
        """Block until all processes have called this method.

        Every process must make the same sequence of calls; one that skips a call leaves the others blocked.
        """
        if self.size > 1:
            torch.distributed.barrier()


def is_first_process() -> bool:
    """Return whether this process is the one that writes: always, unless a launcher started several."""
    return int(os.environ.get("RANK", "0")) == 0


def joined_team(device: str | torch.device) -> tuple[Team, str | torch.device]:
    """Return the team described by the launcher's environment, and this process's device.

    ``auto`` becomes the process's own GPU. Without a launcher, the team has one member and the device is unchanged.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Team(), device
    from accelerate import PartialState

    state = PartialState(cpu=str(device) == "cpu" or not torch.cuda.is_available())
    place = state.device if str(device) == "auto" else device
    return Team(rank=state.process_index, size=state.num_processes), place

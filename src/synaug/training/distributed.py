"""Train with several processes, each on its own share of every batch: what ``accelerate launch`` starts.

With one process nothing of this is felt. With several, each step's batch is the same as with one and is dealt
out, gradients are averaged, and the first process alone writes. Normalization layers see their own share only.
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
    """The processes that train together: how many, and which one this is."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and shows progress."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """Make sure that a batch can be dealt out evenly.

        Raises:
            OptionError: it cannot.
        """
        if batch_size % self.size or batch_size // self.size < 2:
            raise OptionError(
                f"A batch of {batch_size} images cannot be divided among {self.size} processes with "
                f"at least 2 each; allowed are multiples of {self.size} from {2 * self.size}."
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
        """Return once all processes have come here."""
        if self.size > 1:
            torch.distributed.barrier()


def is_first_process() -> bool:
    """Return whether this process is the one that writes: always, unless a launcher started several."""
    return int(os.environ.get("RANK", "0")) == 0


def joined_team(device: str | torch.device) -> tuple[Team, str | torch.device]:
    """Return the team that the launcher's environment speaks of, and this process's device.

    ``auto`` becomes the process's own GPU; without a launcher, the team is of one and the device as it was.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Team(), device
    from accelerate import PartialState

    state = PartialState(cpu=str(device) == "cpu" or not torch.cuda.is_available())
    place = state.device if str(device) == "auto" else device
    return Team(rank=state.process_index, size=state.num_processes), place

"""Several processes, each with its share of the batches: their sums are added up under torchrun.

torchrun gives each process its rank in the environment. The first process (rank 0) leads: it alone reads and writes the
run folder, and tells the others which part of the work they share.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
from torch import distributed

from compressor.errors import DeviceError

Item = TypeVar("Item")
CPU = torch.device("cpu")
_PATIENCE = timedelta(hours=6)
"""Before a shared stage the others wait while the leader hashes the model; torchrun ends them if the leader dies."""


@dataclass(frozen=True)
class Group:
    """This process among those that work on one job; alone, every method is the identity."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU
    """Where `add_up` exchanges tensors: NCCL on CUDA, gloo on the CPU."""

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's items: every `size`-th, so that long and short batches spread evenly."""
        return list(items[self.rank :: self.size])

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """The reverse of `share` for the leader: everybody's items in their old order; the others get their own."""
        if self.size == 1:
            return list(items)
        parts: list[list[Item]] = [[] for _ in range(self.size)]
        distributed.gather_object(list(items), parts if self.leads else None, dst=0)
        if not self.leads:
            return list(items)
        total = sum(len(part) for part in parts)
        return [parts[index % self.size][index // self.size] for index in range(total)]

    def add_up(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of everybody's `tensor`, on the CPU."""
        if self.size == 1:
            return tensor
        total = tensor.to(self.device, copy=True)
        distributed.all_reduce(total)
        return total.cpu()

    def announce(self, value: Item | None) -> Item:
        """The leader's `value`, for everybody; what the others pass is not looked at."""
        if self.size == 1:
            return cast(Item, value)
        values = [value]
        distributed.broadcast_object_list(values, src=0, device=CPU)
        return cast(Item, values[0])


ALONE = Group()


@contextmanager
def joined(wanted: str | None) -> Iterator[Group]:
    """The group that torchrun's environment names, or this process alone. Raises DeviceError.

    The device is `wanted`, or CUDA where there is one; processes of one machine take one GPU each.
    """
    device = choose_device(wanted, int(os.environ.get("LOCAL_RANK", "0")))
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group(device=device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Objects and the leader's word go through gloo on the CPU in either case.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Group(rank, size, device)
    finally:
        distributed.destroy_process_group()


def choose_device(wanted: str | None, local_rank: int) -> torch.device:
    """The CPU or this process's GPU; `wanted` is cpu, cuda or None for CUDA where there is one.

    Raises DeviceError where CUDA is wanted and absent, or has fewer GPUs than there are processes.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted is None and not found):
        return CPU
    if not found:
        raise DeviceError("--device cuda finds no usable GPU; use --device cpu or install a CUDA build of torch")
    if local_rank >= found:
        raise DeviceError(
            f"torchrun started process {local_rank + 1} on a machine with {found} GPUs; start one per GPU"
        )
    return torch.device("cuda", local_rank)


def device_name(device: torch.device) -> str:
    """What a manifest says: results on a GPU differ in the last digits from those on a CPU, and between GPUs."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type

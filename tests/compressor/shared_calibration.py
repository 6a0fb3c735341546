"""Run by torchrun: calibrate FOLDER's model on fixed rows with the other processes; the leader keeps sums and state.

Arguments: FOLDER OUT. The second calibration continues OUT/interrupted, the state of a walk that one process began.
"""

import sys
from pathlib import Path

import torch

from compressor.calibrate import Statistics, calibrate, save_statistics
from compressor.distributed import ALONE, Group, joined
from compressor.rows import make_batches
from compressor.walk import StreamCheckpoint
from tests.compressor.test_layers import view


def rows() -> list[list[int]]:
    """Eleven rows of different lengths: four batches of three, an uneven share for two processes."""
    generator = torch.Generator().manual_seed(7)
    lengths = [9 + 5 * index for index in range(11)]
    return [[0, *torch.randint(6, 512, (length,), generator=generator).tolist()] for length in lengths]


def run(folder: Path, state: StreamCheckpoint, group: Group = ALONE) -> Statistics:
    with torch.inference_mode():
        return calibrate(view(folder), make_batches(rows(), rows=3), state, group=group)


def main(folder: Path, out: Path) -> None:
    with joined("cpu") as group:
        statistics = run(folder, StreamCheckpoint(out / "state", every_s=0.0), group)
        continued = run(folder, StreamCheckpoint(out / "interrupted"), group)
        torch.save(vars(statistics.layers[0]), out / f"sums-{group.rank}.pt")
        if group.leads:
            save_statistics(out / "stats.safetensors", statistics)
            save_statistics(out / "continued.safetensors", continued)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

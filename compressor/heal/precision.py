"""Which number formats healing computes with and holds its frozen weights in."""

from pathlib import Path

import torch

BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""What /proc/cpuinfo calls multiplication in bfloat16 by hardware, x86 and ARM."""


def training_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where `device` multiplies it in hardware, else float32: emulated bfloat16 is slower than float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if BFLOAT16_FLAGS & cpu_flags(Path("/proc/cpuinfo")) else torch.float32


def cpu_flags(path: Path) -> frozenset[str]:
    """Flags of the first core; none where the kernel does not tell."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return frozenset()
    line = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return frozenset(line.partition(":")[2].split())

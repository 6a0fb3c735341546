"""What a criterion may look at in one layer: the calibration's sums, and the FFN matrices when it asks for them."""

from dataclasses import dataclass

import torch

from compressor.calibrate import NeuronSums
from compressor.checkpoint import TensorSource
from compressor.families.contract import LayerNames


@dataclass(frozen=True)
class LayerInputs:
    """One layer. Matrices are read when a method is called, so a criterion that needs none reads none."""

    sums: NeuronSums
    tokens: int
    """Text positions behind the sums."""
    source: TensorSource
    names: LayerNames

    def gate(self) -> torch.Tensor:
        """W_g, float32 (ffn, hidden)."""
        return self.source.tensor(self.names.gate).float()

    def up(self) -> torch.Tensor:
        """W_u, float32 (ffn, hidden)."""
        return self.source.tensor(self.names.up).float()

    def down(self) -> torch.Tensor:
        """W_d, float32 (hidden, ffn)."""
        return self.source.tensor(self.names.down).float()

    def down_norms(self) -> torch.Tensor:
        """‖W_d[:,j]‖₂ of every neuron, float64 (ffn,)."""
        norms: torch.Tensor = torch.linalg.vector_norm(self.down(), dim=0, dtype=torch.float64)
        return norms

"""What the compressor refuses to do. Each is one line that says what, which value, and the remedy.

BedsideError
├── RecipeError        a recipe is missing, malformed or asks for what is not built
├── BudgetError        no width meets the budget
├── FamilyError        the architecture or tokenizer of the model is not supported
├── RunError           the run folder is in use or damaged
├── MemoryShortError   a step needs more memory than is free
├── DeviceError        the device asked for is not there
├── QuantizationError  the quantized file does not hold the types it should
└── ModelFileError
    └── CheckpointError    a checkpoint is incomplete, damaged or holds values that are not finite
"""

from models.errors import BedsideError, ModelFileError


class RecipeError(BedsideError):
    """A recipe is missing, malformed or asks for what is not built."""


class BudgetError(BedsideError):
    """No width meets the budget."""


class FamilyError(BedsideError):
    """The architecture or tokenizer of the model is not supported."""


class RunError(BedsideError):
    """The run folder is in use or damaged."""


class QuantizationError(BedsideError):
    """The quantized file does not hold the types it should."""


class MemoryShortError(BedsideError):
    """A step needs more memory than is free."""


class DeviceError(BedsideError):
    """The device asked for is not there."""


class CheckpointError(ModelFileError):
    """A checkpoint is incomplete, damaged or holds values that are not finite."""

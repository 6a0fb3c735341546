"""What llama.cpp can refuse, beyond the shared tree.

RuntimeFailure
├── DecodeAborted     a decode was stopped by `Context.abort`
├── ContextFull       no room in the context for the batch or the prompt
├── UnknownTokenError a token id that the model does not have
├── SamplingError     a sampling option is out of range
└── SchemaError       a JSON schema is too large, not supported, or cannot be kept to
"""

from models.errors import RuntimeFailure


class DecodeAborted(RuntimeFailure):
    """A decode was stopped by `Context.abort`; the micro-batches finished before it stay in the context."""


class ContextFull(RuntimeFailure):
    """The context has no room for the batch or the prompt."""


class UnknownTokenError(RuntimeFailure):
    """A token id that the model does not have."""


class SamplingError(RuntimeFailure):
    """A sampling option is out of range."""


class SchemaError(RuntimeFailure):
    """A JSON schema is too large, not supported, or the answer cannot be kept to it."""

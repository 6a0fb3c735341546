"""Every error that Bedside raises on purpose. The command line prints one as a single line and exits with status 1.

BedsideError
├── ModelFileError         a model file is missing, truncated, hostile or not what it claims to be
├── ModelNotFoundError     no model of that name in the catalogue, the store or on disk
├── DownloadError          a download could not start, finish or be verified
├── StorageError           the disk is full or may not be written
├── RuntimeFailure         llama.cpp refused to load, decode or quantize
├── TemplateError          the file has no usable chat template
└── TextError              a text file (JSONL, note, passage) cannot be used
"""


class BedsideError(Exception):
    """Base of all: the message says what, which value, and the remedy, in one line."""


class ModelFileError(BedsideError):
    """A model file is missing, truncated, hostile or not what it claims to be."""


class ModelNotFoundError(BedsideError):
    """No model of that name in the catalogue, the store or on disk."""


class DownloadError(BedsideError):
    """A download could not start, finish or be verified."""


class StorageError(BedsideError):
    """The disk is full or may not be written."""


class RuntimeFailure(BedsideError):  # noqa: N818  (RuntimeError is taken)
    """llama.cpp refused to load, decode or quantize."""


class TemplateError(BedsideError):
    """The model file has no usable chat template."""


class TextError(BedsideError):
    """A text file (JSONL, note, passage) cannot be used."""

"""Model families: one file each, and one line in `FAMILIES`."""

from typing import Any

from compressor.errors import CheckpointError, FamilyError
from compressor.families.contract import Family
from compressor.families.gemma import GemmaFamily
from compressor.families.gemma2 import Gemma2Family
from compressor.families.gemma3 import Gemma3Family
from compressor.families.llama import LlamaFamily
from compressor.families.mistral import MistralFamily
from compressor.families.qwen2 import Qwen2Family
from compressor.families.qwen3 import Qwen3Family

FAMILIES: tuple[Family, ...] = (
    LlamaFamily(),
    MistralFamily(),
    Qwen2Family(),
    Qwen3Family(),
    GemmaFamily(),
    Gemma2Family(),
    Gemma3Family(),
)


def architecture_of(config: dict[str, Any]) -> str:
    """The class that a config.json names, else its model type. Raises CheckpointError where the entry is no list of names."""
    names = config.get("architectures") or [config.get("model_type", "unknown")]
    if not isinstance(names, list) or not isinstance(names[0], str):
        raise CheckpointError(
            f"config.json has architectures = {names!r} instead of a list; fetch the checkpoint again"
        )
    return names[0]


def find_family(config: dict[str, Any]) -> Family:
    """The family of a Hugging Face config.json. Raises FamilyError naming the architecture and those supported."""
    architecture = architecture_of(config)
    for family in FAMILIES:
        if architecture in family.architectures:
            return family
    supported = ", ".join(name for family in FAMILIES for name in family.architectures)
    raise FamilyError(f"architecture {architecture} is not supported; supported are {supported}")

"""The model files that are served: the built-in one, and random weights in the shapes of larger ones."""

import random
import string
from dataclasses import replace
from pathlib import Path

from models.resolve import resolve_gguf
from models.runtime.model import Model
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import LLAMA_3_8B, LLAMA_32_1B

FOLDER = Path("build/bench")
_PRUNED_WIDTH = 4608
"""Of Llama 3 8B's 14,336 FFN neurons: 67.9% are removed, the nearest multiple of 256 to 67%."""
_SHAPES = {"1b": LLAMA_32_1B, "8b": replace(LLAMA_3_8B, ffn_size=_PRUNED_WIDTH)}
NAMES = ("reference", *_SHAPES)


def model_file(name: str) -> Path:
    """The file of that name; random weights are written when first asked for."""
    if name not in _SHAPES:
        return resolve_gguf(name)
    path = FOLDER / f"{name}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_gguf(path, _SHAPES[name], "q4_0")
    return path.resolve()


class Prompts:
    """Prompts of an exact number of tokens, none like another, and what keeps an answer from ending early."""

    def __init__(self, path: Path) -> None:
        self._random = random.Random(0)
        with Model.load(path, vocab_only=True) as model:
            self.bias = {str(token): -100 for token in range(model.n_vocab) if model.is_end(token)}
            self._per_character = len(model.tokenize("4" * 64, add_bos=False, parse_special=False)) / 64
            self._bos = int(model.add_bos)

    def text(self, tokens: int) -> str:
        """Digits: each is a token in these vocabularies, whatever stands beside it."""
        assert self._per_character == 1
        return "".join(self._random.choices(string.digits, k=tokens - self._bos))

    def body(self, tokens: int, answer: int, text: str | None = None) -> dict[str, object]:
        """A request of `answer` tokens behind a prompt of `tokens` new ones, or behind `text`."""
        prompt = self.text(tokens) if text is None else text
        return {"prompt": prompt, "max_tokens": answer, "logit_bias": self.bias}

    def ours(self, body: dict[str, object]) -> dict[str, object]:
        """The same for Bedside, drafting off: random weights repeat one token and would accept every guess."""
        return {**body, "drafting": False}

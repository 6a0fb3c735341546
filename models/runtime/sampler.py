"""Choosing the next token with llama.cpp's sampler chain, the likeliest with numpy; no Python loop over the vocabulary."""

import weakref
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from models.runtime.context import Context
from models.runtime.errors import SamplingError
from models.runtime.library import llama

_PENALTY_WINDOW_TOKENS = 256
MAX_LOGIT_BIASES = 300
_MOST_BIAS = 100.0
_MAX_SEED = 2**32 - 2  # the largest 32-bit value asks llama.cpp for a random seed


@dataclass(frozen=True)
class SamplingOptions:
    """How to choose a token; raises SamplingError where a value is out of range."""

    temperature: float = 0.0
    """0 takes the likeliest token; the options from `top_k` to `min_p` do nothing then."""
    top_k: int = 40
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 0.95
    """Keep the likeliest tokens that together reach this probability; 1 keeps all."""
    min_p: float = 0.05
    """Drop tokens less likely than this share of the likeliest; 0 keeps all."""
    repeat_penalty: float = 1.0
    """Divide the positive logits of recent tokens by this; 1 leaves them."""
    presence_penalty: float = 0.0
    """Subtract this from the logits of recent tokens."""
    frequency_penalty: float = 0.0
    """Subtract this times the count of the token among the recent ones."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Token ids and what is added to their logits, at most MAX_LOGIT_BIASES of them."""
    seed: int | None = None
    """Same seed, same tokens; None draws a seed."""

    def __post_init__(self) -> None:
        ranges = {
            "temperature": (0.0, 100.0),
            "top_k": (0, 2**31 - 1),
            "top_p": (0.0, 1.0),
            "min_p": (0.0, 1.0),
            "repeat_penalty": (0.01, 100.0),
            "presence_penalty": (-100.0, 100.0),
            "frequency_penalty": (-100.0, 100.0),
            "seed": (0, _MAX_SEED),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SamplingError(f"{name} is {value}; it must lie between {low} and {high}")
        if len(self.logit_bias) > MAX_LOGIT_BIASES:
            raise SamplingError(f"logit_bias names {len(self.logit_bias)} tokens; give {MAX_LOGIT_BIASES} at most")
        for token, bias in self.logit_bias:
            if not -_MOST_BIAS <= bias <= _MOST_BIAS:
                raise SamplingError(
                    f"logit_bias of token {token} is {bias}; it must lie between -{_MOST_BIAS:g} and {_MOST_BIAS:g}"
                )

    @property
    def takes_likeliest(self) -> bool:
        """Whether it is the likeliest token that is taken, whatever came before."""
        penalties = (self.repeat_penalty - 1.0, self.presence_penalty, self.frequency_penalty)
        return self.temperature == 0.0 and not any(penalties)


class Sampler:
    """A sampler chain with the state of one generation (its random numbers, its recent tokens)."""

    def __init__(self, options: SamplingOptions | None = None) -> None:
        self.options = options or SamplingOptions()
        self._chain: Any = None
        self._free: weakref.finalize[[Any], Sampler] | None = None

    def sample(self, context: Context, row: int) -> int:
        """The token that follows batch row `row` of the last decode; it counts as a recent token from now on."""
        if self.options.takes_likeliest:
            # llama.cpp copies the vocabulary into records first: 0.17 ms of 128,256 tokens where this takes 0.02.
            logits = context.logits_in_place(row)
            own = [(token, logits[token]) for token, _ in self.options.logit_bias]  # a copy of all takes longer
            for token, bias in self.options.logit_bias:
                logits[token] += bias
            chosen = int(logits.argmax())
            for token, logit in own:
                logits[token] = logit
            return chosen
        if self._chain is None:
            self._chain = _build_chain(self.options, context.model.n_vocab)
            self._free = weakref.finalize(self, llama().llama_sampler_free, self._chain)
        context.check_row(row)
        return int(llama().llama_sampler_sample(self._chain, context.pointer, row))

    def reset(self) -> None:
        """Back to the start: the same random numbers again where there is a seed, no recent tokens."""
        self.close()

    def close(self) -> None:
        """Free the chain; safe to call twice. The next `sample` starts afresh."""
        if self._free is not None:
            self._free()
        self._chain = self._free = None

    def __enter__(self) -> "Sampler":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _logit_bias(options: SamplingOptions, n_vocab: int) -> Any:
    library = llama()
    biases = (library.llama_logit_bias * len(options.logit_bias))(*options.logit_bias)
    return library.llama_sampler_init_logit_bias(n_vocab, len(biases), biases)


def _build_chain(options: SamplingOptions, n_vocab: int) -> Any:
    library = llama()
    links = [_logit_bias(options, n_vocab)] if options.logit_bias else []
    penalties = (options.repeat_penalty, options.frequency_penalty, options.presence_penalty)
    if penalties != (1.0, 0.0, 0.0):
        links.append(library.llama_sampler_init_penalties(n_vocab, _PENALTY_WINDOW_TOKENS, *penalties))
    if options.temperature == 0.0:
        links.append(library.llama_sampler_init_greedy())
    else:
        seed = library.LLAMA_DEFAULT_SEED if options.seed is None else options.seed
        links += [
            library.llama_sampler_init_top_k(options.top_k),
            library.llama_sampler_init_top_p(options.top_p, 1),
            library.llama_sampler_init_min_p(options.min_p, 1),
            library.llama_sampler_init_temp(options.temperature),
            library.llama_sampler_init_dist(seed),
        ]
    params = library.llama_sampler_chain_default_params()
    params.no_perf = True
    chain = library.llama_sampler_chain_init(params)
    for link in links:
        library.llama_sampler_chain_add(chain, link)
    return chain

"""The test of a model that has just been loaded: does it write?"""

import math
from queue import SimpleQueue

from assistant.engine.loaded import LoadedModel
from assistant.engine.request import Event, Failed, Finished, Piece, Request, Ticket, TokenLogprob
from models.errors import RuntimeFailure
from models.runtime.sampler import SamplingOptions

TEST_TOKENS = 10
_QUESTION = "What is a fever?"
_DEADLINE_S = 120.0


def check_first_words(loaded: LoadedModel) -> None:
    """Let the model write ten tokens through its engine.

    Raises RuntimeFailure where it writes nothing, or with probabilities that are no numbers, and what the engine fails with.
    """
    prompt = loaded.template.prompt_ids(loaded.model, [{"role": "user", "content": _QUESTION}])
    request = Request(
        tuple(prompt), TEST_TOKENS, SamplingOptions(temperature=0.0), logprobs=0, drafting=False, deadline_s=_DEADLINE_S
    )
    events = SimpleQueue[Event]()
    loaded.scheduler.submit(Ticket(request, events.put))
    written: list[TokenLogprob] = []
    tokens = 0
    while not isinstance(event := events.get(), Finished):
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Piece):
            written += event.logprobs
            tokens += len(event.tokens)
    if event.reason == "deadline":
        raise RuntimeFailure(f"it has not written {TEST_TOKENS} tokens within {_DEADLINE_S:g} s; use a smaller model")
    if not all(math.isfinite(each.logprob) for each in written):
        raise RuntimeFailure("its tokens have no finite probabilities; make or fetch the file again")
    if not tokens:
        raise RuntimeFailure("it writes nothing; make or fetch the file again")

"""Which models fit on this board and how fast they would be, before any is fetched."""

from collections.abc import Sequence
from dataclasses import dataclass

from device.unit_costs import MICRO_BATCH_TOKENS, UnitCosts
from device.workload import Workload, workload_of_catalogue, workload_of_header
from models.builtin import REFERENCE_ID
from models.catalogue import CatalogueModel, catalogue, find_in_catalogue
from models.errors import ModelFileError
from models.gguf_header import GgufHeader, read_header
from models.memory import MemoryEstimate, estimate_memory
from models.pruned import count_neurons, most_neurons_that_fit, pruned_memory
from models.resolve import resolve_gguf
from models.store import Store

PROMPT_TOKENS = MICRO_BATCH_TOKENS


@dataclass(frozen=True)
class Prediction:
    """Speeds that are expected, not measured, in tokens per second."""

    prompt_tokens: int
    prompt_tokens_per_s: float
    answer_tokens_per_s: float
    """With nothing cached but a prompt of `prompt_tokens`."""
    full_answer_tokens_per_s: float
    """With a full context."""
    read_bytes_per_token: int
    """Weights."""


@dataclass(frozen=True)
class Variant:
    """A model as it is, or with a share of its FFN neurons pruned."""

    ffn_share: float
    """Of FFN neurons that are gone; 0 for a model as it is."""
    memory: MemoryEstimate
    fits: bool
    predicted: Prediction | None
    """None where nothing like its weights was measured."""


@dataclass(frozen=True)
class PlannedModel:
    """One model of the plan."""

    id: str
    file: str | None
    """Its file where it is on this machine; otherwise it is planned from its shape, at Q4_0."""
    context_tokens: int
    as_it_is: Variant | None
    """None where the file cannot be used."""
    pruned: Variant | None
    """The least that has to be pruned so that it fits; None where it fits as it is, or not even pruned."""
    note: str | None


@dataclass(frozen=True)
class _Room:
    """What a plan is made for."""

    n_ctx: int
    free_bytes: int
    costs: UnitCosts


def plan_models(
    names: Sequence[str], store: Store, n_ctx: int, free_bytes: int, costs: UnitCosts
) -> list[PlannedModel]:
    """The models of those names; without one all of the catalogue, then the GGUF files in the store that it does not know.

    Raises:
        ModelNotFoundError, ModelFileError: nothing of such a name, or a named file that cannot be used.
    """
    room = _Room(n_ctx, free_bytes, costs)
    if names:
        return [_plan_named(name, store, room) for name in names]
    planned = [_plan_listed(model.id, store, room) for model in catalogue()]
    stored = [entry.id for entry in store.entries() if entry.kind == "gguf" and find_in_catalogue(entry.id) is None]
    return planned + [_plan_listed(key, store, room) for key in stored]


def check_names(names: Sequence[str], store: Store) -> None:
    """Raise what `plan_models` would for one of the names: before anything is measured for it."""
    for name in names:
        _find(name, store)


def _plan_listed(model_id: str, store: Store, room: _Room) -> PlannedModel:
    """One model of a list, which a damaged file does not end."""
    try:
        return _plan_named(model_id, store, room)
    except ModelFileError as error:
        return PlannedModel(model_id, None, room.n_ctx, None, None, str(error))


def _plan_named(name: str, store: Store, room: _Room) -> PlannedModel:
    found = _find(name, store)
    if isinstance(found, CatalogueModel):
        return plan_catalogue_model(found, room.n_ctx, room.free_bytes, room.costs)
    return plan_file(name, found, room.n_ctx, room.free_bytes, room.costs)


def _find(name: str, store: Store) -> CatalogueModel | GgufHeader:
    """What is planned: a file where there is one, or a model of the catalogue that is not here."""
    model, manifest = find_in_catalogue(name), store.find(name)
    if model is None or name == REFERENCE_ID or (manifest is not None and manifest.kind == "gguf"):
        return read_header(resolve_gguf(name, store))
    return model


def plan_file(name: str, header: GgufHeader, n_ctx: int, free_bytes: int, costs: UnitCosts) -> PlannedModel:
    """A file as it is. Its speed is left open where its layers hold anything but Q4_0 matrices."""
    tokens = min(n_ctx, header.n_ctx_train)
    memory, work = estimate_memory(header, tokens), workload_of_header(header)
    prediction = None if work is None else predict(work, tokens, costs)
    notes = [] if work else ["No speed: its layers are not plain Q4_0, which alone is measured."]
    variant = Variant(0.0, memory, memory.total_bytes <= free_bytes, prediction)
    return PlannedModel(name, str(header.path), tokens, variant, None, _note(*notes, *_shorter(tokens, n_ctx)))


def plan_catalogue_model(model: CatalogueModel, n_ctx: int, free_bytes: int, costs: UnitCosts) -> PlannedModel:
    """A catalogue model at Q4_0; where it does not fit, also with the least pruned that lets it."""
    tokens = min(n_ctx, model.context_tokens)
    memory = estimate_memory(model, tokens)
    fits = memory.total_bytes <= free_bytes
    dense = Variant(0.0, memory, fits, predict(workload_of_catalogue(model), tokens, costs))
    kept = None if fits else most_neurons_that_fit(model, tokens, free_bytes)
    pruned = None
    if kept is not None:
        pruned = Variant(
            1 - kept / count_neurons(model),
            pruned_memory(model, kept, tokens),
            True,
            predict(workload_of_catalogue(model, kept), tokens, costs),
        )
    return PlannedModel(model.id, None, tokens, dense, pruned, _note(model.note, *_shorter(tokens, n_ctx)))


def _shorter(tokens: int, n_ctx: int) -> list[str]:
    """What to say of a model that holds less than was asked for."""
    return [f"Its context ends at {tokens:,} tokens: planned with these, not {n_ctx:,}."] if tokens < n_ctx else []


def _note(*parts: str) -> str | None:
    return " ".join(part for part in parts if part) or None


def predict(work: Workload, n_ctx: int, costs: UnitCosts) -> Prediction:
    """Speeds in a context of `n_ctx` tokens; the prompt has 512, or half of a smaller context."""
    prompt_tokens = min(PROMPT_TOKENS, max(n_ctx // 2, 1))
    return Prediction(
        prompt_tokens,
        prompt_tokens / costs.prompt_s(work, prompt_tokens),
        1 / costs.answer_token_s(work, prompt_tokens),
        1 / costs.answer_token_s(work, n_ctx - 1),
        work.read_bytes,
    )

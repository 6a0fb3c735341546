"""Which cells a comparison wants, as a function of those that are finished: choices need the tuning losses of earlier ones.

At the first seed all forms of ours are measured beside the published baselines, and at the share nearest one half every
other method too. At the other seeds: the baselines, Týr's recipe and the form that had the lowest tuning loss at the first.
That form is then swept over the pruning rates. Nothing here reads held-out text, but for the rate at which the verdict is
given, which the task sets by held-out loss.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from compressor.compare.cell import Cell, Measured, Method, Reconstruct, dense_cell
from compressor.criteria.score import CRITERIA, native_method

OBS_ROUNDS = 16
TYR = Method("obs", "uniform", "own", OBS_ROUNDS)
"""Týr's recipe without its evolutionary search: neurons chosen in rounds, then ridge towards the layer's own output."""
ATP = Method("atp", "own")
"""Masks learned together with LoRA: it trains weights, which none of the others does."""
SWEEP = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.67, 0.7, 0.8, 0.9)
"""Pruning rates of figures 3 and 4, and one more for where the verdict is given."""
JUDGED_RISE = 0.3
"""Loss rise of ours at which the verdict is given where 50% costs less than `FLAT_RISE`."""
FLAT_RISE = 0.1
REFITTED_FROM_SHARE = 0.5
"""From this share on every criterion is also measured with our reconstruction."""
Finished = Mapping[Cell, Measured]
Rise = Callable[[Cell], float]


@dataclass(frozen=True)
class Plan:
    """What the user asked for."""

    shares: tuple[float, ...]
    seeds: tuple[int, ...]
    heals: tuple[str, ...] = ()
    sweep: bool = True

    def joined(self, other: "Plan") -> "Plan":
        """Everything that either asks for."""
        shares, seeds = (sorted({*getattr(self, name), *getattr(other, name)}) for name in ("shares", "seeds"))
        heals = tuple(dict.fromkeys((*other.heals, *self.heals)))
        return Plan(tuple(shares), tuple(seeds), heals, self.sweep or other.sweep)

    @property
    def main_share(self) -> float:
        """The share nearest one half: ablations are made there, and its best method is swept."""
        return min(self.shares, key=lambda share: abs(share - 0.5))


def published() -> list[Method]:
    """Baselines in the form that their authors use, without reconstruction; `saliency` is the paper's own.

    `taylor` stands here with equal widths as well: LLM-Pruner's own allocation need not be the better one, and the one that
    is better on a text is what ours is held against.
    """
    methods = [Method(name, native_method(name)) for name in CRITERIA if name not in {"flap", "jacobian"}]
    return [
        *methods,
        Method("taylor", "uniform"),
        Method("flap", native_method("flap"), "bias"),
        Method("slicegpt", "own"),
    ]


def candidates() -> list[Method]:
    """Forms of our pipeline; the one with the lowest tuning loss is ours.

    Learned masks are not among them: what is fitted to the loss itself on text of the same sources gets a low tuning loss for
    taking up the text, not for staying near the dense model.
    """
    spread = [Method(name, "global", "dense") for name in ("jacobian", "wanda", "flap")]
    chosen = [Method("obs-exact", allocation, "dense", OBS_ROUNDS) for allocation in ("uniform", "global", "search")]
    return [*spread, Method("wanda", "search", "dense"), *chosen]


def same_reconstruction() -> list[Method]:
    """Every criterion with equal widths and the same refit: what is left of the ranking."""
    chosen = [Method(name, "uniform", "dense", OBS_ROUNDS) for name in ("obs", "obs-exact")]
    return [*(Method(name, "uniform", "dense") for name in CRITERIA), *chosen]


def ablations() -> dict[str, list[Method]]:
    """Our parts exchanged one by one; those that stand in other lists as well are the same cells."""
    targets: tuple[Reconstruct, ...] = ("none", "own", "dense")
    steepness = ("activation", "saliency", "jacobian", "wanda")
    widths = ("uniform", "global", "learned", "search")
    counts = (1, 4, OBS_ROUNDS)
    return {
        "criterion: does the Jacobian help?": [
            Method(name, "uniform", target) for name in steepness for target in ("none", "dense")
        ],
        "mask": [Method("wanda", allocation, "dense") for allocation in widths],
        "reconstruction": [
            *(Method("wanda", "uniform", target) for target in targets),
            *(Method("obs-exact", "uniform", target, OBS_ROUNDS) for target in targets[1:]),
            Method("flap", "global"),
            Method("flap", "global", "bias"),
        ],
        "rounds": [Method("obs-exact", "uniform", "dense", count) for count in counts],
    }


def learned() -> list[Method]:
    """Masks trained by back-propagation over the paper's own saliency; base weights stay as they are."""
    return [Method("saliency", "learned"), Method("saliency", "learned", "dense")]


def unhealed(plan: Plan, share: float) -> list[Method]:
    """What is measured at the first seed: everything at the main share, at others what the verdict and the ranking need."""
    lists = [published(), [TYR, ATP], candidates()]
    if share >= REFITTED_FROM_SHARE or share == plan.main_share:
        lists.append(same_reconstruction())
    if share == plan.main_share:
        lists += [*ablations().values(), learned()]
    return list(dict.fromkeys(method for methods in lists for method in methods))


def choose_ours(finished: Finished, share: float, seed: int) -> Method | None:
    """The candidate with the lowest tuning loss at a share; None while one is missing that did not fail."""
    found = [finished[method.at(share, seed)] for method in candidates() if method.at(share, seed) in finished]
    return min(found, key=lambda measured: measured.tuning_loss).cell.method if found else None


def wanted_cells(plan: Plan, finished: Finished, failed: Iterable[Cell], rise: Rise) -> list[Cell]:
    """Every cell that is wanted now, finished ones included, in the order of work: by seed, then share."""
    first = plan.seeds[0]
    cells = {dense_cell(): None}
    for share in plan.shares:
        cells |= dict.fromkeys(method.at(share, first) for method in unhealed(plan, share))
    done = set(finished) | set(failed)
    if any(cell not in done for cell in cells):
        return list(cells)
    for seed in plan.seeds[1:]:
        for share in plan.shares:
            cells |= dict.fromkeys(method.at(share, seed) for method in _verdict_methods(finished, share, first))
    if plan.sweep:
        cells |= dict.fromkeys(_sweep_cells(plan, finished))
        judged = judged_share(plan, finished, rise)
        if judged is not None:
            cells |= dict.fromkeys(
                method.at(judged, seed) for seed in plan.seeds for method in _verdict_methods(finished, judged, first)
            )
    cells |= dict.fromkeys(_healed_cells(plan, finished))
    return list(cells)


def heal_methods(finished: Finished, share: float, seed: int, data: str) -> list[Method]:
    """What is healed on `data` at a share: ours, every criterion as published, and Týr's recipe; SliceGPT is no FFN pruning."""
    methods = [method for method in _verdict_methods(finished, share, seed) if method.criterion != "slicegpt"]
    return [replace(method, heal=data) for method in methods]


def _healed_cells(plan: Plan, finished: Finished) -> list[Cell]:
    """Healing at the first seed: the dense model, all of `heal_methods` at the shares asked for, and the sweep."""
    seed, cells = plan.seeds[0], []
    for data in plan.heals:
        cells.append(dense_cell(data))
        for share in plan.shares:
            cells += [method.at(share, seed) for method in heal_methods(finished, share, seed, data)]
        cells += [replace(cell, heal=data) for cell in (_sweep_cells(plan, finished) if plan.sweep else [])]
    return cells


def _verdict_methods(finished: Finished, share: float, seed: int) -> list[Method]:
    ours = choose_ours(finished, share, seed)
    return [*published(), TYR, *([ours] if ours is not None else [])]


def sweep_method(plan: Plan, finished: Finished) -> Method | None:
    """The method of the sweep: ours at the main share."""
    return choose_ours(finished, plan.main_share, plan.seeds[0])


def _sweep_cells(plan: Plan, finished: Finished) -> list[Cell]:
    method = sweep_method(plan, finished)
    return [] if method is None else [method.at(share, plan.seeds[0]) for share in sorted({*SWEEP, *plan.shares})]


def judged_share(plan: Plan, finished: Finished, rise: Rise) -> float | None:
    """The lowest rate at which ours costs `JUDGED_RISE`, where 50% costs less than `FLAT_RISE`; None elsewhere."""
    swept: Sequence[Cell] = [cell for cell in _sweep_cells(plan, finished) if cell in finished]
    half = next((cell for cell in swept if cell.share == 0.5), None)
    if half is None or rise(half) >= FLAT_RISE:
        return None
    return next((cell.share for cell in swept if rise(cell) >= JUDGED_RISE), None)

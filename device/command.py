"""`bedside device`: the board and its power meters. Imports happen inside the commands."""

import math
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Show the board and its power meters; measure and predict what answers cost on it.", add_completion=False
)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Sysroot = Annotated[
    Path | None,
    typer.Option(
        "--sysroot",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Look at the files of another machine below DIR: no program or device of this one.",
    ),
]
MeterPath = Annotated[
    Path | None,
    typer.Option("--meter", metavar="PATH", help="Your own meter at the supply, by its folder in /sys/class/hwmon."),
]
MeterOrRecording = Annotated[
    Path | None,
    typer.Option(
        "--meter",
        metavar="PATH",
        help="Your own meter at the supply, by its folder in /sys/class/hwmon; or a recording (CSV).",
    ),
]
Jtop = Annotated[
    bool, typer.Option("--jtop", help="Try jtop as well: its service and its client disturb what they measure.")
]
MeasuresBandwidth = Annotated[
    bool, typer.Option("--bandwidth", help="Measure for a second how fast this machine's memory can be read.")
]


def _finite(given: float) -> float:
    """Infinity is within a range that has no upper end."""
    if not math.isfinite(given):
        raise typer.BadParameter(f"{given} is no finite number")
    return given


Answers = Annotated[
    int | None, typer.Option("--answers", min=1, help="At least so many, until they take 60 s in all; 6 by default.")
]
PromptTokens = Annotated[int | None, typer.Option("--prompt-tokens", min=1, help="Of each prompt; 128 by default.")]
Tokens = Annotated[
    int | None, typer.Option("--tokens", min=2, help="Of each answer; by default 256 to 2048, so that it takes 10 s.")
]
Idle = Annotated[
    float, typer.Option("--idle", min=1, callback=_finite, help="Seconds of idling before and after the answers.")
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="One for each core by default.")]
ContextTokens = Annotated[int | None, typer.Option("--context", min=256, help="Tokens of context.")]
Natural = Annotated[
    bool, typer.Option("--natural", help="Five medical questions answered to their own end, as in the paper.")
]
ShapeName = Annotated[
    str | None,
    typer.Option(
        "--shape",
        metavar="NAME",
        help="Random weights in place of a file, in a Llama shape: llama-3.2-1b, llama-3.2-3b, llama-3-8b; no other family.",
    ),
]
Prune = Annotated[float, typer.Option("--prune", min=0, max=0.99, help="With --shape: share of FFN neurons removed.")]
Keep = Annotated[bool, typer.Option("--keep", help="With --shape: leave the file in the run's folder.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="For the files; bench-DATE-TIME-MODEL here by default.")
]


@app.callback(invoke_without_command=True)
def device(
    context: typer.Context,
    *,
    as_json: AsJson = False,
    sysroot: Sysroot = None,
    meter: MeterOrRecording = None,
    jtop: Jtop = False,
    bandwidth: MeasuresBandwidth = False,
) -> None:
    """Show the board and its power meters: what is measured, what is not, and what mends it."""
    if context.invoked_subcommand is None:
        show_board(as_json=as_json, sysroot=sysroot, meter=meter, jtop=jtop, bandwidth=bandwidth)
    elif as_json or sysroot or meter or jtop or bandwidth:
        raise typer.BadParameter(f"options go behind the command: bedside device {context.invoked_subcommand} ...")


def show_board(
    *,
    as_json: bool = False,
    sysroot: Path | None = None,
    meter: Path | None = None,
    jtop: bool = False,
    bandwidth: bool = False,
) -> None:
    """What `bedside device` does without a further word."""
    from device import views
    from device.bandwidth import measure_bandwidth
    from device.detect import survey
    from device.system import System
    from models.runtime.library import default_threads

    if bandwidth and sysroot:
        raise typer.BadParameter("--bandwidth measures this machine: leave out --sysroot")
    found = survey(System(sysroot), meter, {"jtop"} if jtop else ())
    measured = measure_bandwidth(default_threads()) if bandwidth else None
    if as_json:
        views.print_json(found, measured)
    else:
        views.print_survey(found, measured)


@app.command()
def calibrate(
    *,
    meter: MeterPath = None,
    reference: Annotated[
        str,
        typer.Option("--reference", metavar="NAME", help="What the meter is that you read, as figures shall name it."),
    ] = "a meter at the supply",
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="FILE", help="Ask nothing: write a CSV file to fill in the readings later."),
    ] = None,
    readings: Annotated[
        Path | None,
        typer.Option("--readings", metavar="FILE", help="Hold no load: take the levels from the CSV file filled in."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show what is stored.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Forget the calibration of this machine's sensor.")] = False,
) -> None:
    """Make this board's sensor agree with a meter at its supply that you read: hold levels of load, type what it says."""
    from device import calibrate as work

    if sum((record is not None, readings is not None, show, remove)) > 1:
        raise typer.BadParameter("--record, --readings, --show and --remove are four things: give one")
    if show:
        work.show_calibrations()
    elif remove:
        work.remove_calibration(meter)
    elif record is not None:
        work.record_levels(meter, record)
    elif readings is not None:
        work.calibrate_from_table(meter, reference, readings)
    else:
        work.calibrate_by_asking(meter, reference)


@app.command("watch")
def watch_power(sysroot: Sysroot = None, meter: MeterPath = None, jtop: Jtop = False) -> None:
    """Show power, temperatures and clocks as they change, until q or Ctrl-C; in a pipe a line each second."""
    from device.monitor import Monitor
    from device.system import System
    from device.watch import watch

    watch(Monitor(System(sysroot), meter, {"jtop"} if jtop else ()))


@app.command()
def plan(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Model ids or GGUF files; without one, all.")
    ] = None,
    context: Annotated[int, typer.Option("--context", min=256, help="Tokens of context.")] = 4096,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=512, help="Threads; as many as cores without it.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what was measured before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show which models fit here and how fast they would be, by what is measured in some ten seconds."""
    from device.plan import check_names, plan_models
    from device.plan_views import Plan, measuring, plan_facts, print_plan
    from device.speed_profile import speed_profile
    from models.free_memory import free_memory_bytes
    from models.runtime.library import default_threads
    from models.store import Store
    from models.views import print_json

    store = Store()
    check_names(names or [], store)
    with measuring() as say:
        profile, measured_now = speed_profile(threads or default_threads(), again=again, say=say)
    free_bytes = free_memory_bytes()
    models = plan_models(names or [], store, context, free_bytes, profile.costs)
    found = Plan(models, profile, measured_now, context, free_bytes)
    if as_json:
        print_json(plan_facts(found))
    else:
        print_plan(found)


@app.command()
def bench(
    model: Annotated[str | None, typer.Argument(help="A GGUF file, or a model id.")] = None,
    *,
    answers: Answers = None,
    prompt_tokens: PromptTokens = None,
    tokens: Tokens = None,
    idle_s: Idle = 60.0,
    threads: Threads = None,
    context: ContextTokens = None,
    natural: Natural = False,
    shape: ShapeName = None,
    prune: Prune = 0.0,
    keep: Keep = False,
    meter: MeterOrRecording = None,
    jtop: Jtop = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Measure what answers cost: tokens/s, watts, joules, memory. Files hold every figure and sample."""
    from device.bench import command
    from device.bench.settings import ANSWERS, PROMPT_TOKENS, Settings

    if (model is None) == (shape is None):
        raise typer.BadParameter("name a file or model id, or --shape: one of them")
    if shape is None and (prune or keep):
        raise typer.BadParameter("--prune and --keep go with --shape")
    if natural and any(given is not None for given in (shape, answers, prompt_tokens, tokens)):
        raise typer.BadParameter(
            "--natural has its own five questions: no --shape, --answers, --prompt-tokens, --tokens"
        )
    settings = Settings(answers or ANSWERS, prompt_tokens or PROMPT_TOKENS, tokens, idle_s, threads, context, natural)
    wanted = command.Wanted(model, shape, prune, keep)
    command.bench(wanted, settings, meter=meter, jtop=jtop, out=out, as_json=as_json)

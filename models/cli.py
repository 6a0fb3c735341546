"""`bedside models`: list, info, pull, import, verify, remove. Heavy imports happen inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Know, fetch, check and remove model files.", no_args_is_help=True, add_completion=False)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """Show the models that Bedside knows and those on this machine."""
    from models import views
    from models.store import Store

    rows = views.list_rows(Store())
    if as_json:
        views.print_json({"models": rows})
    else:
        views.print_list(rows)


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="A model id, or the path of a GGUF file.")],
    context: Annotated[
        int, typer.Option("--context", min=256, help="Tokens of context to estimate memory for.")
    ] = 4096,
    as_json: AsJson = False,
) -> None:
    """Show what a model is, what it needs, and where it would fit."""
    from models import views
    from models.store import Store

    facts = views.info_facts(model, Store(), context)
    if as_json:
        views.print_json(facts)
    else:
        views.print_info(facts)


@app.command()
def pull(
    model: Annotated[str, typer.Argument(help="A model id, or a Hugging Face repository OWNER/NAME.")],
    file: Annotated[
        str, typer.Option("--file", help="One GGUF file of the repository instead of the checkpoint.")
    ] = "",
    revision: Annotated[str, typer.Option("--revision", help="A commit of 40 hex digits.")] = "",
    model_id: Annotated[str, typer.Option("--id", help="Store it under this id.")] = "",
    offline: Annotated[bool, typer.Option("--offline", help="Use no network: succeed only if it is here.")] = False,
) -> None:
    """Fetch a model from the Hugging Face Hub; an interrupted pull goes on where it stopped."""
    from models import views
    from models.hub import Hub, offline_by_environment
    from models.pull import plan_pull, pull_request, stored_already
    from models.pull import pull as fetch
    from models.store import Store

    store, request = Store(), pull_request(model, file=file, revision=revision, model_id=model_id)
    if offline or offline_by_environment():
        manifest = stored_already(store, request)
    else:
        hub = Hub()
        plan = plan_pull(store, request, hub)
        with views.progress("fetching", plan.total_bytes) as on_progress:
            manifest = fetch(store, plan, hub, on_progress=on_progress)
    views.print_stored(manifest, store)


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="A GGUF file, or a checkpoint folder with config.json and safetensors.")],
    model_id: Annotated[str, typer.Option("--id", help="Store it under this id; default: the file's name.")] = "",
) -> None:
    """Copy a model that is already on this machine into the store, checking it on the way."""
    from models import views
    from models.imports import import_model
    from models.store import Store

    store = Store()
    with views.progress("copying", None) as on_progress:
        manifest = import_model(store, path, model_id or None, on_progress=on_progress)
    views.print_stored(manifest, store)


@app.command()
def verify(model: Annotated[str, typer.Argument(help="A model id.")]) -> None:
    """Hash every file of a model and compare with what was recorded."""
    from models import views
    from models.errors import ModelFileError
    from models.store import Store

    with views.progress("checking", None) as on_progress:
        faults = Store().verify(model, on_progress)
    if faults:
        listed = "; ".join(f"{fault.file} {fault.problem}" for fault in faults)
        raise ModelFileError(f"{model} is damaged: {listed}. Fetch it again, or remove it")
    typer.echo(f"{model}: every file is as recorded")


@app.command()
def remove(model: Annotated[str, typer.Argument(help="A model id.")]) -> None:
    """Delete a model from this machine, complete or half-fetched."""
    from models.disk import show_bytes
    from models.store import Store

    freed_bytes = Store().remove(model)
    typer.echo(f"removed {model}: {show_bytes(freed_bytes)} freed")

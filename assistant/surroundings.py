"""What every command of the program sets for itself before it imports a library: nothing calls home, nothing dumps memory."""

import os
import resource

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Where llama.cpp aborts it would have a debugger read the process, with all prompts in it.
    "GGML_NO_BACKTRACE": "1",
    # FastAPI hands its traces to an exporter where both of these let it.
    "FASTAPI_OTEL_AUTO_CONFIGURE": "false",
    "OTEL_SDK_DISABLED": "true",
}
OFFLINE = {
    # Even a look into the local cache would first ask for the address of huggingface.co.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}


def keep_quiet() -> None:
    """No telemetry, whatever the environment says."""
    os.environ.update(QUIET)


def stay_offline() -> None:
    """No download either: for every command but the one that fetches models. Child processes inherit it."""
    os.environ.update(OFFLINE)


def leave_no_core_dump() -> None:
    """A crash must not write what was asked to the disk. The hard limit stays: a debugger's user may raise it again."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

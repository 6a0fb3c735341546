"""Stage 07: the Hugging Face folder and the F16 files."""

from pathlib import Path
from typing import Any

from compressor.checkpoint import TensorSource
from compressor.errors import FamilyError
from compressor.export_gguf import GgufModel, export_gguf
from compressor.export_hf import export_hf, has_down_bias
from compressor.job import Job
from compressor.stages.contract import Outcome, replacing_stages
from compressor.tokens import ChatTokenizer
from models.runtime.model import Model
from models.starter import load_notes


def run_export(job: Job, _: Path) -> Outcome:
    """`hf/` and the F16 files."""
    source = job.overlaid(replacing_stages(job))
    model = job.gguf_model(source, f"{job.name}-{job.recipe_name}")
    files = [job.gguf_path("f16")]
    advance = job.reporter.step("export", 2 + job.wants_dense)
    own = job.recipe.export.chat_template == "own"
    export_hf(source, job.checkpoint, job.out / "hf", chat_template=None if own else job.tokenizer.chat_template)
    advance()
    export_gguf(model, job.gguf_path("f16"))
    checked = check_tokens(job.gguf_path("f16"), job.tokenizer)
    advance()
    if job.wants_dense:
        export_gguf(job.gguf_model(job.checkpoint, job.name), job.dense_path)
        files.append(job.dense_path)
        advance()
    files += sorted(path for path in (job.out / "hf").iterdir() if path.is_file())
    return Outcome(tuple(files), {**_facts(job, source, model), "lines_tokenized_alike": checked})


def check_tokens(path: Path, tokenizer: ChatTokenizer) -> int:
    """How many lines of the starter notes get the tokenizer's ids through llama.cpp. Raises FamilyError where one does not."""
    found = [line for note in load_notes() for line in note.text.splitlines() if line.strip()]
    with Model.load(path, vocab_only=True) as model:
        for line in found:
            if model.tokenize(line, add_bos=False, parse_special=True) != tokenizer.text(line):
                raise FamilyError(
                    f"{path.name} tokenizes {line[:40]!r} unlike the model's own tokenizer; choose another model"
                )
    return len(found)


def _facts(job: Job, source: TensorSource, model: GgufModel) -> dict[str, Any]:
    """Widths, architecture, and what hf/ or the GGUF files lack."""
    notes = []
    if not model.equal_widths:
        notes.append("widths differ by layer (intermediate_sizes in config.json): plain transformers cannot load hf/")
    if has_down_bias(source, job.family, job.shape) and not job.family.hf_down_bias:
        notes.append("hf/ lacks the biases of down, for which its architecture has no place: the GGUF files hold them")
    if job.checkpoint.left_out:
        notes.append(f"text only: {job.checkpoint.left_out} tensors that see images were left out")
    return {
        "widths": list(model.widths),
        "hf_loads_in_transformers": model.equal_widths,
        "architecture": model.layout.architecture,
        "notes": [*notes, *job.vocabulary.notes],
    }

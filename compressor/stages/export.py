"""Stage 07: the Hugging Face folder and the F16 files."""

from pathlib import Path

from compressor.export_gguf import export_gguf
from compressor.export_hf import export_hf, ffn_widths
from compressor.job import Job
from compressor.stages.contract import Outcome, replacing_stages


def run_export(job: Job, _: Path) -> Outcome:
    """`hf/` and the F16 files."""
    source = job.overlaid(replacing_stages(job))
    widths = ffn_widths(source, job.family, job.shape)
    files = [job.gguf_path("f16")]
    advance = job.reporter.step("export", 2 + job.wants_dense)
    export_hf(source, job.checkpoint.folder, widths, job.out / "hf")
    advance()
    export_gguf(job.gguf_model(source, f"{job.name}-{job.recipe_name}"), job.gguf_path("f16"))
    advance()
    if job.wants_dense:
        export_gguf(job.gguf_model(job.checkpoint, job.name), job.dense_path)
        files.append(job.dense_path)
        advance()
    loads = len(set(widths)) == 1
    files += sorted(path for path in (job.out / "hf").iterdir() if path.is_file())
    facts = {"widths": list(widths), "hf_loads_in_transformers": loads, "architecture": "llama" if loads else "deci"}
    if not loads:
        facts["hf_note"] = (
            "widths differ by layer (intermediate_sizes in config.json): plain transformers cannot load hf/"
        )
    return Outcome(tuple(files), facts)

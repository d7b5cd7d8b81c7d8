"""What the memory model is held to: every recorded case, by what tells it from others, and what others say of it."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.memory.optimizer_forms import form_of
from app.core.run import LORA_KERNEL_KEYS
from tests.core.memory.recordings import DATA, estimated, recorded

RECORDINGS: Mapping[str, str] = {
    "peaks": "chosen",
    "drawn": "drawn at random",
    "wide": "drawn from the whole catalogue",
    "rare": "rare switches over odd sizes",
    "rare_held_back": "rare switches, drawn a second time",
    "rare_third": "rare switches, drawn a third time",
    "rare_fourth": "rare switches, drawn a fourth time",
    "wide_held_back": "drawn from the whole catalogue, a second time",
    "wide_third": "drawn from the whole catalogue, a third time",
    "outside": "as somebody else would pick them",
    "outside_again": "as somebody else would pick them, a second time",
    "practice": "as practitioners run them",
    "combined": "switches that nothing before held together",
    "combined_again": "switches that nothing before held together, a second time",
    "newcomers": "architectures that were described last",
    "packed_sdpa": "packed rows under SDPA",
    "packed_unnamed": "packed rows without a named attention",
    "evaluated_rows": "evaluation of other rows than those that train",
    "exceptions": "pairs in which a switch that saves takes more",
    "evaluated_losses": "evaluation under every loss",
    "layer_offloading": "layers that wait on the host",
    "every_optimizer": "optimizers that step within the backward, or else as no other does",
    "relora": "ReLoRA from its first restart on",
    "shown": "models in which one trait decides",
    "offloaded_losses": "losses under activation offloading",
    "skipped_modules": "4-bit bases of which a list keeps some linears unpacked",
    "offloaded_fp16": "activation offloading without autocast",
    "pure_half": "weights in fp16 without autocast",
    "every_layers": "every n-th layer checkpointed",
    "selective": "checkpoints that keep attention's results",
    "tiled": "feed-forwards in tiles",
    "tiled_experts": "gpt-oss's experts in tiles",
    "made_again": "what layers leave that are made again, odd rows, towers in evaluation",
    "lisa": "layers that train by turns",
    "gptq_chosen": "GPTQ checkpoints, chosen",
    "gptq_held_back": "GPTQ checkpoints, drawn when the formula stood",
    "images": "rows that hold images",
    "images_qwen": "images as Qwen 2 VL and Qwen 3.5 read them",
    "images_gemma4": "images as Gemma 4 reads them",
    "images_glm": "images as GLM reads them",
    "images_held_back": "images as Qwen 2 VL, Qwen 3.5 and Gemma 4 read them, held back",
    "images_pixtral": "rows that hold images, for Pixtral's tower",
    "images_llava": "rows that hold images, for CLIP's tower",
    "images_llava_next": "rows that hold images, in tiles",
    "padding": "batches with padding, and rows",
    "padding_held_back": "batches with padding, and rows, held back",
}
"""Files of recorded peaks that are described here; others are called what they are."""
NO_RECORDINGS = ("others",)
CARD = "gpu/h100.jsonl"
"""Cases that Axolotl itself trained on an H100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One recorded case and what is said of it."""

    recording: str
    case: Mapping[str, Any]
    estimated_bytes: int

    @property
    def name(self) -> str:
        """The case's."""
        return str(self.case["case"])

    @property
    def reference_bytes(self) -> int:
        """The recorded peak."""
        return int(self.case["allocated_peak_bytes"])

    @property
    def model_type(self) -> str:
        """The architecture's."""
        return str(self.case["model"]["model_type"])

    @property
    def error(self) -> float:
        """Signed, as a share of the reference."""
        return self.estimated_bytes / self.reference_bytes - 1


def recordings() -> tuple[str, ...]:
    """The files of recorded peaks there are."""
    names = sorted(path.stem for path in DATA.glob("*.jsonl"))
    names = [name for name in names if not name.endswith("refused") and name not in NO_RECORDINGS]
    return tuple(sorted(names, key=lambda name: name != "peaks"))


def rows() -> list[Row]:
    """Every recorded case, estimated now."""
    return [
        Row(recording=name, case=case, estimated_bytes=estimated(case).allocated_peak_bytes)
        for name in recordings()
        for case in recorded(f"{name}.jsonl")
    ]


def on_card() -> list[Row]:
    """Every case that was trained on a card, estimated now; the reference is what it measured less cuBLAS's workspaces.

    Of those that evaluate the training step was measured, so the evaluation is left out of the estimate. Rows that were
    packed for SDPA held a document each, where Axolotl leaves SDPA as it is for rows that are not packed.
    """
    cases = {case["case"]: case for name in reversed(recordings()) for case in recorded(f"{name}.jsonl")}  # first wins
    found = []
    for row in recorded(CARD):
        case = cases[row["case"]]
        config = {key: value for key, value in case["config"].items() if key not in ("val_set_size", "eval_batch_size")}
        if config.get("attn_implementation") == "sdpa" and config.get("sample_packing"):
            config["sample_packing"] = False
        measured = row["allocated_peak_bytes"] - row["cublas_workspace_bytes"]
        case = case | {"config": config, "allocated_peak_bytes": measured}
        found.append(Row(recording=CARD, case=case, estimated_bytes=estimated(case).allocated_peak_bytes))
    return found


def card_versions() -> dict[str, str]:
    """The card, its driver and what ran there."""
    return {key: str(value) for key, value in recorded(CARD)[0]["versions"].items() if key != "total_bytes"}


def method_of(case: Mapping[str, Any]) -> str:
    """What a case trains with."""
    config = case["config"]
    method = str(config.get("adapter") or "full")
    if config.get("peft_use_dora"):
        method = "qdora" if method == "qlora" else "dora"
    return method


def switches_of(case: Mapping[str, Any]) -> tuple[str, ...]:
    """The switches that move this case's memory, as a table names them."""
    config = case["config"]
    found = [f"attention: {config.get('attn_implementation') or 'unset'}"]
    checkpointing = config.get("gradient_checkpointing")
    kwargs = config.get("gradient_checkpointing_kwargs") or {}
    if config.get("activation_offloading") or checkpointing == "offload":
        found.append("checkpointing: offloaded")
    elif checkpointing:
        kept = kwargs.get("use_reentrant", not kwargs) and not config.get("selective_checkpointing")
        found.append(f"checkpointing: {'reentrant' if kept else 'not reentrant'}")
    else:
        found.append("checkpointing: off")
    losses = ("cut_cross_entropy", "chunked_cross_entropy", "liger_fused_linear_cross_entropy", "liger_cross_entropy")
    found.append("loss: " + next((key for key in losses if config.get(key)), "plain"))
    found.append("optimizer: " + str(config.get("optimizer") or "adamw_torch_fused"))
    if config.get("adapter"):
        off = any(config.get(key) is False for key in LORA_KERNEL_KEYS)
        found.append("LoRA kernels: " + ("off" if off else "on"))
        found.append("dropout" if config.get("lora_dropout") else "no dropout")
    rows, _ = case["rows"]
    found.append("one row" if rows == 1 else "several rows")
    flags = {
        "padded": "padded batch",
        "load_in_8bit": "8-bit base",
        "gptq": "GPTQ base",
        "float16": "fp16 without autocast",
        "selective_checkpointing": "selective checkpointing",
        "tiled_mlp": "tiled feed-forward",
        "lisa_n_layers": "LISA",
        "lora_modules_to_save": "modules_to_save",
        "val_set_size": "evaluation",
        "sample_packing": "packing",
    }
    found += [label for key, label in flags.items() if config.get(key)]
    if kwargs.get("every_n_layers", 1) > 1:
        found.append("every n-th layer checkpointed")
    if form_of(str(config.get("optimizer") or "adamw_torch_fused")).paged:
        found.append("paged states")
    if (config.get("gradient_accumulation_steps") or 1) > 1:
        found.append("accumulation")
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Absolute errors of some cases, as shares."""

    cases: int
    median: float
    p95: float
    worst: float

    @classmethod
    def of(cls, errors: Iterable[float]) -> "Summary":
        """Of signed errors."""
        ordered = sorted(abs(error) for error in errors)
        return cls(
            cases=len(ordered),
            median=statistics.median(ordered),
            p95=ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
            worst=ordered[-1],
        )


def grouped(found: Sequence[Row], key: Any) -> dict[str, list[Row]]:
    """Rows by what ``key`` says of them; it may say several things."""
    groups: dict[str, list[Row]] = {}
    for row in found:
        names = key(row)
        for name in (names,) if isinstance(names, str) else names:
            groups.setdefault(name, []).append(row)
    return dict(sorted(groups.items()))


OTHERS = DATA / "others.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Another calculator's answers: signed errors on the cases that it takes.

    ``errors`` are of the tensors that it counts, ``with_overhead`` of its total; ``plain`` are the errors of cases with
    the plain loss alone, which is the only one that it knows.
    """

    name: str
    version: str
    errors: tuple[float, ...]
    with_overhead: tuple[float, ...]
    plain: tuple[float, ...]
    refused: int


def others(found: Sequence[Row]) -> list[Other]:
    """Other calculators on the same cases, as recorded by ``others.py``."""
    if not OTHERS.exists():
        return []
    known = {(row.recording, row.name): row for row in found}
    answers: dict[tuple[str, str], list[tuple[Row, int | None, int | None]]] = {}
    for line in OTHERS.read_text("utf-8").splitlines():
        answer = json.loads(line)
        row = known.get((answer["recording"], answer["case"]))
        if row is not None:
            kind = answer["name"], answer["version"]
            answers.setdefault(kind, []).append((row, answer["bytes"], answer["process_bytes"]))
    result = []
    for (name, version), mine in answers.items():
        taken = [(row, size, total) for row, size, total in mine if size is not None and total is not None]
        errors = [(row, size / row.reference_bytes - 1) for row, size, _ in taken]
        result.append(
            Other(
                name=name,
                version=version,
                errors=tuple(error for _, error in errors),
                with_overhead=tuple(total / row.reference_bytes - 1 for row, _, total in taken),
                plain=tuple(error for row, error in errors if "loss: plain" in switches_of(row.case)),
                refused=len(mine) - len(taken),
            )
        )
    return result

"""Records fitcheck's measurements on a Tesla T4, from its source distribution, in ``tests/data/memory/fitcheck-t4.json``.

    pip download --no-deps --no-binary :all: fitcheck-llm==0.3.1 && tar xzf fitcheck_llm-0.3.1.tar.gz
    python -m tests.reference.memory.fitcheck_runs fitcheck_llm-0.3.1

One training step each (``scripts/measure.py`` there): Transformers and PEFT without autocast, a quantised base prepared
for k-bit training, which leaves everything unquantised in fp32; the loop holds the model's outputs through the backward.
"""

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[2] / "data" / "memory" / "fitcheck-t4.json"
SESSIONS = ("final-t4-20260921", "t4-phase3-2026-09-16", "t4-sweep-2026-09-15")
"""Those that say which model shape they ran; the first session's runs were measured again in the third."""
SHAPE = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "vocab_size",
    "head_dim",
    "tie_word_embeddings",
)


def model_type(name: str) -> str:
    """Transformers' name of the architecture."""
    return next((kind for word, kind in {"Qwen": "qwen2", "Mistral": "mistral"}.items() if word in name), "llama")


def row(session: str, run: dict[str, Any]) -> dict[str, Any]:
    """One measurement as this repository writes them."""
    asked, measured, shape = run["run"], run["measured"], run["model_config"]
    return {
        "session": session,
        "model_id": run["model_id"],
        "model": {
            "model_type": model_type(run["model_id"]),
            "num_hidden_layers": shape["num_layers"],
            "num_key_value_heads": shape["num_kv_heads"],
            "sliding_window": None,
        }
        | {key: shape[key] for key in SHAPE},
        "quantization": asked["quantization"],
        "double_quant": asked["double_quant"],
        "attention": asked["attn_impl"],
        "rank": asked["lora_rank"],
        "targets": asked["lora_targets"],
        "rows": [asked["batch_size"], asked["seq_len"]],
        "optimizer": asked["optimizer"],
        "precision": asked["precision"],
        "allocated_mib": measured["peak_allocated_mib"],
        "process_mib": measured["process_mib"],
        "resident_mib": measured["resident_before_step_mib"],
    }


def main(directory: str) -> None:
    """Read the archive and write what is used of it; repeats of one run once."""
    found: dict[str, dict[str, Any]] = {}
    for session in SESSIONS:
        path = Path(directory) / "data" / "measurements" / f"{session}.json"
        for run in json.loads(path.read_text("utf-8"))["runs"]:
            made = row(session, run)
            same = {key: value for key, value in made.items() if not key.endswith("_mib")}
            found.setdefault(json.dumps(same, sort_keys=True), made)
    head = {
        "source": "https://pypi.org/project/fitcheck-llm/0.3.1/",
        "checked_on": "2026-11-25",
        "gpu": "Tesla T4",
    }
    lines = [json.dumps(made) for made in found.values()]
    text = json.dumps(head)[:-1] + ', "runs": [\n' + ",\n".join(lines) + "\n]}\n"
    TARGET.write_text(text, encoding="utf-8")
    print(f"{len(lines)} runs")


if __name__ == "__main__":
    main(sys.argv[1])

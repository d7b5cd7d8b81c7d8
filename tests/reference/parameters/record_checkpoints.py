"""Records what a checkpoint of an adapter stores, by real trainers and PEFT, on the CPU.

    .cache/axolotl-0.19.0/bin/python -m tests.reference.parameters.record_checkpoints

TRL 1.9 wraps the model itself under DPO and KTO, and casts what trains to bf16 where the base is quantised. A base is
marked as quantised and stays in 16 bits here: the trainers ask for nothing but the mark, and no GPU is needed. The file
is what ``save_model`` leaves; its tensors are counted, the header of their names is not. The first line of
``tests/data/parameters/checkpoints.jsonl`` names the versions.
"""

import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FILE = Path(__file__).parents[2] / "data" / "parameters" / "checkpoints.jsonl"
MODEL = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 7,
    "tie_word_embeddings": False,
}
WORDS = ("a", "b", "c", "d", "[PAD]", "[EOS]", "[UNK]")
TARGETS = ["q_proj", "v_proj"]


def cases() -> Iterator[dict[str, Any]]:
    """Axolotl's keys of each run."""
    for rl in ("dpo", "kto"):
        for quantized in (False, True):
            base = {"adapter": "qlora", "load_in_4bit": True} if quantized else {"adapter": "lora"}
            for more in ({}, {"lora_modules_to_save": ["lm_head"]}):
                yield {**base, "rl": rl, "lora_r": 8, "lora_alpha": 16, "lora_target_modules": TARGETS, **more}
    yield {"adapter": "lora", "lora_r": 8, "lora_alpha": 16, "lora_target_modules": TARGETS}
    yield {
        "adapter": "lora",
        "lora_r": 8,
        "lora_alpha": 16,
        "lora_target_modules": TARGETS,
        "peft_autocast_adapter_dtype": False,
    }


def stored(config: dict[str, Any]) -> int:
    """Bytes of the tensors that are saved."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in MODEL.items() if k != "model_type"})).to(torch.bfloat16)
    lora = LoraConfig(
        r=config["lora_r"],
        lora_alpha=config["lora_alpha"],
        target_modules=config["lora_target_modules"],
        modules_to_save=config.get("lora_modules_to_save"),
        task_type="CAUSAL_LM",
    )
    with TemporaryDirectory() as folder:
        if "rl" not in config:
            autocast = config.get("peft_autocast_adapter_dtype", True)
            get_peft_model(model, lora, autocast_adapter_dtype=autocast).save_pretrained(folder)
            return _bytes_in(folder)
        if config.get("load_in_4bit"):
            model.is_loaded_in_4bit = True
        words = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
        words.pre_tokenizer = Whitespace()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="[PAD]", eos_token="[EOS]", unk_token="[UNK]"
        )
        given = {"output_dir": folder, "report_to": [], "use_cpu": True, "max_steps": 1}
        if config["rl"] == "dpo":
            rows = [{"prompt": "a", "chosen": "b", "rejected": "c"}] * 2
            trainer = DPOTrainer(
                model=model,
                args=DPOConfig(per_device_train_batch_size=1, **given),
                train_dataset=Dataset.from_list(rows),
                processing_class=tokenizer,
                peft_config=lora,
            )
        else:
            rows = [{"prompt": "a", "completion": text, "label": text == "b"} for text in ("b", "c")] * 2
            trainer = KTOTrainer(
                model=model,
                args=KTOConfig(per_device_train_batch_size=2, **given),
                train_dataset=Dataset.from_list(rows),
                processing_class=tokenizer,
                peft_config=lora,
            )
        trainer.save_model(folder)
        return _bytes_in(folder)


def _bytes_in(folder: str) -> int:
    from safetensors import safe_open

    with safe_open(f"{folder}/adapter_model.safetensors", "pt") as file:
        return sum(file.get_tensor(name).nbytes for name in file.keys())  # noqa: SIM118 - no mapping


def main() -> None:
    """Record all of them."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1"}
    versions = {name: version(name) for name in ("peft", "torch", "transformers", "trl")}
    lines = [{"versions": versions, "model": MODEL}]
    lines += [{"config": config, "stored_bytes": stored(config)} for config in cases()]
    FILE.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()

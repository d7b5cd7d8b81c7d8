"""One recorded case as a run of Axolotl itself: a model, data and a YAML on disk, then what ``axolotl train`` calls.

The model's file is a hole (zeros that take no disk); the meter draws weights once it is loaded. Rows are as long as the case says.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import yaml

STEPS = 4
WORDS = 64
OURS = ("documents", "padded", "micro_batch_size")
"""Keys of a case's config that say something of its data: the rows tell it here."""


def write_model(model: dict, home: Path) -> None:
    """``config.json``, a tokenizer of a few words and the weights' file, in bf16."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    given = dict(model)
    kind = given.pop("model_type")
    config = AutoConfig.for_model(kind, **given)
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    words = {word: number for number, word in enumerate([*special, *(f"w{n}" for n in range(WORDS))])}
    for name, token in (("pad_token_id", 0), ("bos_token_id", 1), ("eos_token_id", 2)):
        setattr(config, name, token)
    home.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        built = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    config.architectures = [type(built).__name__]
    config.dtype = "bfloat16"
    config.save_pretrained(home)
    header, offset, seen = {"__metadata__": {"format": "pt"}}, 0, set()
    tied = set(getattr(built, "_tied_weights_keys", None) or ()) if config.tie_word_embeddings else set()
    for name, tensor in built.state_dict().items():
        if name in tied or name in seen or (name == "lm_head.weight" and config.tie_word_embeddings):
            continue
        size = tensor.numel() * 2
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)
    path = home / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(told)) + told)
    os.truncate(path, 8 + len(told) + offset)
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))  # noqa: S106  # no secret
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )  # fmt: skip
    fast.save_pretrained(home)


def _text(count: int, start: int) -> str:
    return " ".join(f"w{(start * 7 + n * 13) % WORDS}" for n in range(count))


def rows_of_data(cfg: dict, rows: tuple[int, int]) -> list[dict]:
    """Rows of exactly the case's length, enough for every step and the evaluation, as Axolotl has them once it has read a data set."""
    batch, tokens = rows
    packed = bool(cfg.get("sample_packing"))
    documents = cfg.get("documents", batch) if packed else batch
    length = batch * tokens // documents if packed else tokens
    count = documents * min(2, cfg.get("gradient_accumulation_steps") or 1) * (STEPS + 2) * 2
    made = []
    for n in range(count):
        if cfg.get("rl"):
            prompt, answer = length // 2, length - length // 2 - 1  # and the end of the sequence
            row = {"prompt": _text(prompt, n), "chosen": _text(answer, n + 1), "rejected": _text(answer, n + 2)}
            if cfg["rl"] == "kto":
                row = {"prompt": row["prompt"], "completion": row["chosen"], "label": n % 2 == 0}
        else:
            own = length if not cfg.get("padded") or n % 2 == 0 else length // 2
            words = [(n * 11 + i * 7) % WORDS + 4 for i in range(own)]
            row = {"input_ids": words, "attention_mask": [1] * own, "labels": words}
            if packed:
                row |= {"position_ids": list(range(own)), "length": own}
        made.append(row)
    return made


def settings(case: dict, home: Path) -> dict:
    """The YAML of the run: the case's keys, and what a run needs besides them."""
    cfg = case["config"]
    batch, tokens = case["rows"]
    given = {key: value for key, value in cfg.items() if key not in OURS}
    plugins = [f"{__package__}.gpu_meter.Meter"]
    if given.get("cut_cross_entropy"):
        plugins.append("axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin")
    if any(key.startswith("liger_") for key in given):
        plugins.append("axolotl.integrations.liger.LigerPlugin")
    flash = str(given.get("attn_implementation", "")).startswith("flash")
    made = {
        "base_model": str(home / "model"), "plugins": plugins, "datasets": [{"path": "given/by-the-meter"}],
        "dataset_prepared_path": str(home / "prepared"), "dataset_num_proc": 1, "output_dir": str(home / "out"),
        "sequence_len": batch * tokens if given.get("sample_packing") and flash else tokens,
        "micro_batch_size": 1 if given.get("sample_packing") and flash else batch,
        "max_steps": STEPS, "learning_rate": 1e-4, "optimizer": "adamw_torch_fused", "lr_scheduler": "constant", "bf16": True,
        "logging_steps": 1, "save_strategy": "no", "special_tokens": {"pad_token": "<pad>"}, "dataloader_num_workers": 0,
        "dataloader_pin_memory": True, "strict": False, "val_set_size": 0.0, "seed": 7, "num_epochs": 1,
    }  # fmt: skip
    if given.get("fp16"):
        made.pop("bf16")
    made |= given
    made["gradient_accumulation_steps"] = min(2, cfg.get("gradient_accumulation_steps") or 1)
    if made.get("eval_batch_size"):
        made |= {"eval_steps": 2, "eval_strategy": "steps", "eval_sample_packing": False, "val_set_size": 0.2}
    if made.get("rl") == "kto":
        made["remove_unused_columns"] = False
    if made.get("rl") == "simpo":
        made |= {"rl_beta": 0.1, "simpo_gamma": 0.5}
    return made


def run(case: dict, home: Path) -> dict:
    """Train as ``axolotl train`` does and return what the meter read."""
    import sys

    home.mkdir(parents=True, exist_ok=True)
    write_model(case["model"], home / "model")
    path = home / "run.yaml"
    path.write_text(yaml.safe_dump(settings(case, home), sort_keys=False), encoding="utf-8")
    sys.argv = ["axolotl"]
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.cli.config import load_cfg
    from axolotl.cli.train import do_train

    from . import gpu_meter

    gpu_meter.ROWS = rows_of_data(case["config"], tuple(case["rows"]))
    do_train(load_cfg(str(path)), TrainerCliArgs())
    return gpu_meter.REPORT

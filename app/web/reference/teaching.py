"""What the guide teaches, as data: its families, its tables, the drawing and the keys that go with each method.

Sentences are codes of the ``reference`` catalogs: ``reference.lesson.<method>.<number>``, ``reference.symbol.<sign>``
(or ``reference.symbol.<method>.<sign>``), ``reference.knob.<key>``, ``reference.drawing.<drawing>``.
"""

from collections.abc import Mapping

FAMILIES = ("additive", "selective", "reparameterisation", "technique")
"""In the guide's order; full fine-tuning is what they are set against."""

VERSUS = ("parameters", "memory", "time", "forgetting", "storage")
"""Rows of the table of full fine-tuning against PEFT."""

_SEVEN = tuple("q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split())
GUIDE_TARGETS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("LLaMA / Llama 2/3", _SEVEN, "meta-llama/Llama-3.1-8B-Instruct"),
    ("Mistral", _SEVEN, "mistralai/Mistral-7B-v0.1"),
    ("Gemma", _SEVEN, "google/gemma-7b"),
    ("GPT-NeoX", tuple("query_key_value dense dense_h_to_4h dense_4h_to_h".split()), "EleutherAI/gpt-neox-20b"),
    ("Falcon", tuple("query_key_value dense dense_h_to_4h dense_4h_to_h".split()), "tiiuae/falcon-7b"),
    ("Phi-2", tuple("q_proj k_proj v_proj dense fc1 fc2".split()), "microsoft/phi-2"),
    ("Phi-3", tuple("q_proj k_proj v_proj dense fc1 fc2".split()), "microsoft/Phi-3-mini-4k-instruct"),
)
"""Architecture, its target modules as the guide lists them, and a model of it."""

RULE_METHODS = ("full", "lora", "qlora")
RULE_MODEL = "meta-llama/Llama-2-7b-hf"
RULE_GPU = "rtx-4060"
"""The guide's memory table is of a 7B model; its smaller template, for 8 GB cards, sets sequence and batch."""

FORMULAS: Mapping[str, str] = {
    "prompt_tuning": "input = [P; X]",
    "prefix_tuning": "Attention(Q, [P_k; K], [P_v; V])",
    "p_tuning": "input = [encoder(P); X]",
    "p_tuning_v2": "Attention(Q, [P_k; K], [P_v; V])",
    "loftq": "min ‖W − (Q + B·A)‖",
    "relora": "W ← W + (alpha/r)·B·A",
}
"""The formula without the words that follow it in the registry: those are lessons here, in the reader's language."""

DRAWINGS: Mapping[str, str] = {
    "full": "full",
    "lora": "lora",
    "qlora": "qlora",
    "dora": "dora",
    "qdora": "qdora",
    "loftq": "loftq",
    "relora": "relora",
    "prompt_tuning": "prompt",
    "p_tuning": "encoder",
    "prefix_tuning": "prefix",
    "p_tuning_v2": "prefix",
    "ia3": "scales",
    "bottleneck": "bottleneck",
    "neftune": "noise",
}
"""Which drawing shows a method; one without takes its family's."""

FAMILY_DRAWINGS: Mapping[str, str] = {
    "full": "full",
    "reparameterisation": "lora",
    "additive": "prompt",
    "selective": "selective",
    "technique": "noise",
}

_LORA = (
    ("lora_r", "8, 16, 32, 64"),
    ("lora_alpha", "16, 32"),
    ("lora_dropout", "0.05, 0.1"),
    ("lora_target_modules", "q_proj, k_proj, v_proj, o_proj, …"),
)
KNOBS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "full": (("learning_rate", "0.00001–0.00005"),),
    "lora": _LORA,
    "qlora": (*_LORA, ("load_in_4bit", "true")),
    "dora": (*_LORA, ("peft_use_dora", "true")),
    "qdora": (*_LORA, ("load_in_4bit", "true"), ("peft_use_dora", "true")),
    "loftq": (*_LORA, ("loftq_bits", "4")),
    "relora": (
        *_LORA,
        ("jagged_restart_steps", "200"),
        ("jagged_restart_warmup_steps", "50"),
        ("jagged_restart_anneal_steps", "10"),
    ),
    "neftune": (("neftune_noise_alpha", "5, 10, 15"),),
    "prompt_tuning": (("num_virtual_tokens", "20"),),
    "p_tuning": (("num_virtual_tokens", "20"),),
    "prefix_tuning": (("num_virtual_tokens", "20"), ("prefix_projection", "true")),
    "p_tuning_v2": (("num_virtual_tokens", "20"), ("prefix_projection", "false")),
    "bottleneck": (("bottleneck_size", "64"), ("non_linearity", "relu, gelu")),
}
"""Keys of each method with the values that are usual, the guide's where it names them."""

MOST_LESSONS = 6

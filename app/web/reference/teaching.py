"""What the guide teaches, as data: its families, its tables, the drawing and the keys that go with each method.

Sentences are codes of the ``reference`` catalogs: ``reference.lesson.<method>.<number>``, ``reference.symbol.<sign>``
(or ``reference.symbol.<method>.<sign>``), ``reference.knob.<key>``, ``reference.drawing.<drawing>``.
"""

from collections.abc import Mapping

FAMILIES = ("additive", "selective", "reparameterisation", "technique")
"""In the guide's order; full fine-tuning is what they are set against."""

VERSUS = ("parameters", "memory", "time", "forgetting", "storage")
"""Rows of the table of full fine-tuning against PEFT."""

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
    "adalora": "W' = W + P·Λ·Q",
    "vera": "W' = W + Λ_b·B·Λ_d·A",
    "oft": "W' = W·R",
    "ln_tuning": "y = γ·norm(x) + β",
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
    "rslora": "lora",
    "adalora": "svd",
    "loha": "hadamard",
    "lokr": "kronecker",
    "vera": "vectors",
    "oft": "rotation",
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
    "rslora": (*_LORA, ("peft_use_rslora", "true")),
    "adalora": (("init_r", "12"), ("target_r", "8"), ("total_step", "1000")),
    "loha": (("r", "8"),),
    "lokr": (("r", "8"),),
    "vera": (("r", "256"),),
    "oft": (("oft_block_size", "32"),),
    "trainable_tokens": (("peft_trainable_token_indices", "[128256, 128257]"),),
    "unfrozen": (("unfrozen_parameters", "model.layers.3[0-9]"),),
    "bottleneck": (("bottleneck_size", "64"), ("non_linearity", "relu, gelu")),
}
"""Keys of each method with the values that are usual, the guide's where it names them."""

MOST_LESSONS = 6

"""How each model type computes, where its description does not say: names by trait, from Transformers 5.16.1."""

from app.core.architecture import Activation
from app.core.memory.middle import Middle

ATTENTION_IN = frozenset(
    ("q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value", "Wqkv", "c_attn", "q_a_proj", "kv_a_proj_with_mqa")
)
ATTENTION_OUT = frozenset(("o_proj", "out_proj", "dense", "c_proj"))
ATTENTION_HOLDERS = frozenset(("self_attn", "attn", "attention", "self_attention"))
MIXER_HOLDERS = frozenset(("mamba", "conv", "linear_attn", "mixer"))
TOGETHER = frozenset(("gate_up_proj", "input_linear"))
GATES = ("gate_proj", "w1")
UPS = ("up_proj", "w3", "fc1", "c_fc", "dense_h_to_4h", "fc_in", "gate_up_proj", "input_linear")
DOWNS = ("down_proj", "w2", "fc2", "c_proj", "dense_4h_to_h", "fc_out", "output_linear")
PARTIAL_ROTARY = {
    "phi": (1, 2),
    "gpt_neox": (1, 4),
    "glm": (1, 2),
    "glm4": (1, 2),
    "glm4_moe": (1, 2),
    "glm4v_text": (1, 1),
    "glm4v_moe_text": (1, 2),
    "minimax_m2": (1, 1),
    "mistral4": (1, 2),
    "stablelm": (1, 4),
    "nemotron": (1, 2),
    "gptj": (1, 4),
    "qwen3_next": (1, 4),
    "qwen3_5_text": (1, 4),
    "qwen3_5": (1, 4),
    "qwen3_5_moe": (1, 4),
    "qwen3_5_moe_text": (1, 4),
}
"""The share of a head that takes positions, where a configuration leaves it out."""
STATED_ROTARY = frozenset((*PARTIAL_ROTARY, "granitemoehybrid", "phi3"))
"""Which read the share from their configuration."""
NO_ROTARY = frozenset(("gpt2", "opt", "bloom", "mpt", "jamba", "nemotron_h"))
ROTARY_IN_WINDOWS = frozenset(("afmoe",))
"""Whose layers without a window take no positions."""
ROTARY_FULL = frozenset(("cohere", "cohere2", "ernie4_5", "ernie4_5_moe"))
ROTARY_COPIED = frozenset(("ernie4_5", "ernie4_5_moe", "glm", "glm4", "glm4v_text", "helium"))
ROTARY_BY_AXIS = frozenset(("qwen2_vl", "qwen2_5_vl"))
"""Whose sines and cosines come three to a token, of which every layer puts one together."""
ROTARY_JOINED = frozenset(("minimax_m2",))
WEIGHT_FIRST = frozenset(("afmoe", "olmo2", "olmo3", "gpt_oss", "helium", "gemma4", "gemma4_text"))
PLUS_ONE = frozenset(("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"))
OWN_LOSS = frozenset(("gemma3", "llama4"))
"""Whose wrapper computes the loss in its forward."""
OWN_LIGER_FORWARD = frozenset(("deepseek_v2",))
"""For which Axolotl calls Liger's fused loss in a forward of its own (``integrations/liger/models/deepseekv2.py``)."""
GATED_QUERIES = frozenset(("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"))
UNTOLD = frozenset(("mistral4",))
"""Whose attention keeps positions from the kernel, so that one that takes lengths sees packed samples as one row."""
UNAWARE = frozenset(("afmoe",))
"""Whose masks are made without positions, so that packed samples are one row to SDPA."""
SCALED_QUERIES = frozenset(("mistral4",))
"""Whose latent attention multiplies its queries by a number for each position."""
SCALED_LOGITS = frozenset(("granite", "granitemoe", "granitemoehybrid", "cohere", "cohere2", "falcon_h1"))
MULTIPLIERS = frozenset(("granite", "granitemoe", "granitemoehybrid"))
SIGMOID_ROUTERS = frozenset("deepseek_v3 glm4_moe glm4_moe_lite glm4v_moe_text lfm2_moe nemotron_h".split())
HALF_ROUTERS = frozenset(("lfm2_moe",))
"""Of which logits are computed in the hidden states' own type."""
FULL_ROUTERS = frozenset(("ernie4_5_moe", "minimax_m2"))
"""Which widen their input to fp32 and make chances of logits in fp32."""
OUTER_ROUTERS = frozenset(("ernie4_5_moe",))
"""Which do so outside of autocast."""
SHARED_FIRST = frozenset(("afmoe", "ernie4_5_moe"))
"""Whose shared feed-forward is run before the routed experts."""
BEST_FIRST = frozenset(("gpt_oss", "granitemoe", "granitemoehybrid"))
HALF_SCORES = frozenset(
    (
        "ernie4_5_moe",
        "gpt_oss",
        "granitemoe",
        "granitemoehybrid",
        "olmoe",
        "phimoe",
        "qwen2_moe",
        "qwen3_5_moe",
        "qwen3_5_moe_text",
        "qwen3_moe",
        "qwen3_next",
        "qwen3_vl_moe",
    )
)
EXPERT_NORMS = ("post_feedforward_layernorm_1", "pre_feedforward_layernorm_2", "post_feedforward_layernorm_2")
GEMMA4 = frozenset(("gemma4", "gemma4_text"))
SCALED_EMBEDDINGS = frozenset(("afmoe", "granite", "granitemoe", "granitemoehybrid", "falcon_h1"))
"""Whose model multiplies the embedding's output, which an adapter has made a leaf that lives on."""
ADDED_POSITIONS = frozenset(("bloom", "gpt2", "opt"))
"""Whose model adds learned positions to it, or norms it, before the first layer."""
NORMED_EMBEDDINGS = frozenset(("bloom",))
"""Whose model norms it."""
BOTH_MASKS = frozenset(
    """afmoe cohere2 exaone4 gemma2 gemma3 gemma3_text gemma4 gemma4_text gpt_oss llama4 llama4_text ministral olmo3
    qwen2_moe""".split()
)
"""Whose model makes a mask for the whole row and one for a window."""
ALWAYS_MASKED = frozenset(("falcon",))
"""Whose model makes a mask under SDPA whatever stands in the row (``allow_is_causal_skip=False``)."""
TYPED_WINDOWS = frozenset(
    """exaone4 gemma2 gemma3 gemma3_text gemma4 gemma4_text gpt_oss ministral qwen2 qwen2_vl qwen2_5_vl qwen3""".split()
)
"""Whose layers say of themselves that they have a window (``layer_type``, ``is_sliding``)."""
TWO_POSITIONS = frozenset(("gemma3", "gemma3_text", "gemma4", "gemma4_text"))
"""Whose windowed layers have positions of their own."""
DROPPED_IN_MODULES = frozenset(("gpt2", "gptj", "bloom", "falcon"))
"""Whose attention drops probabilities through ``nn.Dropout``."""
RETURNS_SCORES = frozenset(("bloom", "falcon", "gptj", "mpt"))
EVERY_EXPERT = frozenset(("llama4", "llama4_text"))
SLICED = frozenset(("phi3",))
MIDDLES = {
    Activation.RELU: Middle.SAVES_OUTPUT,
    Activation.RELU2: Middle.SQUARED,
    Activation.XIELU: Middle.XIELU,
    Activation.GELU_NEW: Middle.GELU_NEW,
    Activation.GELU_FAST: Middle.GELU_FAST,
}

"""Which architectures Axolotl 0.19's parts cover, by Transformers' ``model_type``.

Adding one is adding a name to a set, from the source that the set names.
"""

LORA_KERNELS = frozenset(
    """apertus arcee bamba bitnet cohere2 cohere2_moe cwm diffllama doge dots1 emu3 ernie4_5 ernie4_5_moe exaone4
    exaone_moe gemma gemma2 gemma3 gemma3_text gemma4 gemma4_text gemma4_unified gemma4_unified_text glm glm4
    gpt_oss granite granite_swa granitemoe granitemoe_swa granitemoehybrid granitemoeshared helium hrm_text
    hunyuan_v1_dense hunyuan_v1_moe hy_v3 hyperclovax jamba llama mellum minimax ministral ministral3
    mistral mixtral nanochat nemotron nemotron_h qwen2 qwen2_moe qwen3 qwen3_5 qwen3_5_moe qwen3_moe
    qwen3_next recurrent_gemma seed_oss smollm3 solar_open vaultgemma zamba cohere_compass evolla
    mistral3 qwen3_vl step3p7""".split()
)
"""Those whose attention the fused LoRA kernels can patch and run; all others raise.

Source: ``patch_self_attn_lora`` of Axolotl 0.19.0 (``monkeypatch/lora_kernels.py``), tried on every model type of
Transformers 5.16.1.
"""

LORA_KERNELS_AFTER_LAYER_NORM = frozenset("jais2 phimoe starcoder2".split())
"""Those whose attention they patch, and then raise in the first step: autocast runs ``nn.LayerNorm`` in fp32, and the
kernels add what they make of its output to a product in half precision.

Source: ``matmul_lora`` (``kernels/lora.py``); seen on an H100 for StarCoder2, the others by their norms.
"""

CUT_CROSS_ENTROPY = frozenset(
    """afmoe apertus arcee cohere cohere2 cohere2_moe cohere2_vision cohere_compass cohere_compass_text deepseek_v2
    deepseek_v3 deepseek_v4 exaone4 exaone4_5 exaone_moe gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text
    gemma4 gemma4_text gemma4_unified gemma4_unified_text glm glm4 glm4_moe glm4_moe_lite glm46v glm4v glm4v_moe
    glm_image glm_moe_dsa gpt_oss granite granitemoe granitemoehybrid granitemoeshared hunyuan_v1_dense
    hunyuan_v1_moe internvl kimi_linear lfm2 lfm2_moe lfm2_vl llama llama4 llama4_text llava minimax minimax_m2
    ministral ministral3 mistral mistral3 mistral4 mixtral mllama muse_glimmer nemotron_h olmo olmo2 olmo3 olmoe
    phi phi3 phi4_multimodal qwen2 qwen2_5_vl qwen2_moe qwen2_vl qwen3 qwen3_5 qwen3_5_text qwen3_5_moe
    qwen3_5_moe_text qwen3_moe qwen3_next qwen3_vl qwen3_vl_moe qwen4_exp qwen4_exp_text seed_oss smollm3
    step3p5 step3p7 voxtral""".split()
)
"""Those that Axolotl's fork of cut cross entropy patches by name; others get an untested generic patch.

Source: Axolotl 0.19.0, ``integrations/cut_cross_entropy/README.md``.
"""

LIGER_FUSED_LINEAR = frozenset(
    """deepseek_v4 exaone4 falcon_h1 gemma gemma2 gemma3 gemma3_text gemma4 gemma4_text glm4 glm4v glm4v_moe
    gpt_oss hunyuan_v1_dense hunyuan_v1_moe internvl llama llama4_text llava ministral mistral mixtral nemotron
    olmo2 olmo3 paligemma phi3 qwen2 qwen2_5_vl qwen2_vl qwen3 qwen3_5_text qwen3_5_moe_text qwen3_moe qwen3_next
    qwen3_vl qwen3_vl_moe smollm3 smolvlm""".split()
)
"""Those whose loss Liger fuses with the head by their name.

Source: liger-kernel 0.8.1, ``transformers/monkey_patch.py`` (``MODEL_TYPE_TO_APPLY_LIGER_FN``); of those described
here ``tests/reference/axolotl/record_liger.py`` records what becomes of the class that Axolotl loads.
"""

NOT_FUSED_BY_LIGER = frozenset(
    """gemma4_unified glm46v gpt2 idefics3 lfm2_vl llama4 llava_next llava_onevision ministral3 mistral3 mllama
    qwen3_5 qwen3_5_moe voxtral""".split()
)
"""Those whose fused loss changes nothing: Axolotl finds no class to patch, or patches the causal model (Llama 4, Llama
Vision, Qwen3.5) where it loads the one with towers. Source: Axolotl 0.19.0, ``integrations/liger/plugin.py``; as above.
"""

LIGER_FUSED_LINEAR_FAILS = frozenset("bloom falcon gpt_neox gptj granite granitemoe mpt".split())
"""Those that it stops: Liger raises for Granite's scaled logits, and Axolotl's generic forward reads ``self.model``,
which the others have under another name. Source: as above; Axolotl's ``integrations/liger/models/base.py``.
"""

LIGER_REFUSES = frozenset(("granite", "granitemoe"))
"""Of those, whose patch raises whatever the model is for."""

LIGER_LEAVES_SCALE_OUT = frozenset("cohere cohere2 granitemoehybrid".split())
"""Those that scale their logits, which that forward does not. Source: as above."""

LIGER_LAYERS = LIGER_FUSED_LINEAR | {"llama4", "mllama", "qwen3_5", "qwen3_5_moe"}
"""Those whose norms, feed-forwards and positions Liger patches. Source: as ``LIGER_FUSED_LINEAR``."""

LIGER_CROSS_ENTROPY = frozenset(
    """deepseek_v4 exaone4 falcon_h1 gemma gemma2 gemma3 gemma3_text gemma4 gemma4_text glm4 glm4v glm4v_moe gpt_oss
    granite granitemoe hunyuan_v1_dense hunyuan_v1_moe internvl jamba llama llava ministral3 mistral3 mixtral mllama
    olmo2 olmo3 phi3 qwen2 qwen3 qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen3_moe qwen3_next qwen3_vl
    qwen3_vl_moe smollm3 smolvlm""".split()
)
"""Those whose loss Liger's cross entropy computes. Elsewhere it takes the place of a class that Transformers 5 no
longer asks (Mistral, Qwen2-VL), or of nothing. Source: as above.
"""

LIGER_KERNELS = frozenset("llama mistral qwen2 qwen3".split())
"""Those of whose norms, gated feed-forwards and positions under Liger a peak is recorded, or whose layers are the same.

Liger patches more; what its kernels save there is computed, not confirmed, so they are not offered.
"""

NO_LIGER_ROPE = frozenset("glm4 glm4v glm4v_moe qwen3_next".split())
"""Those for which Liger raises ``NotImplementedError`` where it is to turn positions.

Source: liger-kernel 0.8.1, ``transformers/monkey_patch.py``; Axolotl 0.19.0, ``integrations/liger/plugin.py``, which
hands ``liger_rope`` on.
"""

QUANTIZED_HEADS = frozenset(["falcon_h1"])
"""Those whose output head is quantised with the base, so that no loss can read its weight.

Axolotl leaves Falcon-H1's ``out_proj`` alone by a list of its own (``ModelLoader._set_quantization_config``), which
replaces Transformers' list, on which the head stands (5.16.1, ``HfQuantizer.get_modules_to_not_convert``).
"""
QUANTIZED_HEADS_IN_8_BITS = QUANTIZED_HEADS | {"jamba"}
"""In 8 bits Jamba has such a list too."""

NO_FLASH_ATTENTION = frozenset(["bloom", "codegen", "falcon_mamba", "gpt_oss", "llama4", "llama4_text", "mamba", "mpt"])
"""Those that Transformers refuses to load with ``flash_attention_2``. gpt-oss takes FlashAttention 3 only: its
attention has sinks.

Source: ``_supports_flash_attn`` and ``_compatible_flash_implementations`` of Transformers 5.16.1's model classes.
"""

NO_SDPA = frozenset(["bloom", "codegen", "falcon_mamba", "gpt_neo", "gpt_oss", "gptj", "mamba", "mpt"])
"""Those without ``sdpa``: they compute attention eagerly. Source: ``_supports_sdpa``, likewise."""

FLASH_ATTENTION_SINKS = "kernels-community/vllm-flash-attn3"
"""The Hub kernel that gpt-oss's attention accepts, on Hopper; what Axolotl's gpt-oss examples use."""

FLASH_ATTENTION_MOST_HEAD_DIM = 256
"""Widest head of FlashAttention 2. Source: https://github.com/Dao-AILab/flash-attention#nvidia-cuda-support"""

NO_TILED_MLP = frozenset(
    """bloom gemma3_text gemma4_text glm46v granitemoe idefics3 internvl lfm2_vl llama4_text llava llava_next
    llava_onevision minimax_m2 mistral3 mixtral mpt opt paligemma phimoe qwen2_5_vl qwen2_vl qwen3_5_moe_text
    qwen3_5_text qwen3_vl qwen3_vl_moe smolvlm voxtral""".split()
)
"""Those that ``tiled_mlp`` fails with: no class of the name that it looks for, or a forward that takes more.

Source: ``patch_tiled_mlp`` of Axolotl 0.19.0 (``monkeypatch/tiled_mlp/patch.py``), tried on Transformers 5.16.1:
``tests/reference/axolotl/record_tiles.py`` records its answers.
"""

NO_GENERIC_MLP = frozenset(
    """apertus arcee falcon glm glm4 glm4v gpt2 gpt_neox gpt_oss gptj granitemoehybrid lfm2 lfm2_moe llama4 nemotron
    nemotron_h phi phi3 starcoder2""".split()
)
"""Those that ``tiled_mlp_use_original_mlp: false`` fails with: they lack what the one forward that it puts in the place
of theirs reads (``gate_proj``, ``up_proj``, ``down_proj``, ``act_fn``). Source: as above.
"""

OTHER_MLP = frozenset(["falcon_h1"])
"""Those that have all of it and compute something else: the generic forward leaves out their multipliers. As above."""

PACKED_MIXERS = frozenset(
    """falcon_h1 granitemoehybrid nemotron_h qwen3_5 qwen3_5_text qwen3_5_moe qwen3_5_moe_text qwen3_next""".split()
)
"""Hybrids whose state-space or linear-attention layers Axolotl makes respect the borders of packed samples.

Source: Axolotl 0.19.0, ``loaders/patch_manager.py``; elsewhere such a layer's state runs from sample to sample.
"""

NO_PACKING = frozenset(["qwen2_vl", "qwen2_5_vl"])
"""Those in which packed samples attend to each other whatever the kernel: of positions in two dimensions, with which
Axolotl packs, they keep none for the mask. Run with Transformers 5.16.1 (``Qwen2VLTextModel.forward``).
"""

PACKED_BY_MASK = frozenset(["mistral4"])
"""Those in which a mask alone keeps packed samples apart, as eager attention has it: their attention takes positions
itself and hands none on to FlashAttention, or to what Axolotl puts in the place of sdpa. Run with Transformers 5.16.1
(``Mistral4Attention.forward``).
"""

PACKED_BY_FLASH = frozenset(["afmoe"])
"""Those in which FlashAttention alone, which is handed positions, keeps them apart: masks are made without. Run with
Transformers 5.16.1 (``AfmoeModel.forward``).
"""

CHAT_TEMPLATES = frozenset(
    """alpaca chatml mistral_v1 mistral_v2v3 mistral_v3_tekken mistral_v7_tekken gemma cohere llama3
    llama3_2_vision llama4 phi_3 phi_35 deepseek_v2 deepseek_v3 jamba jinja qwen_25 qwen3 qwen3_5 falcon_h1
    nemotron_h tokenizer_default exaone exaone4 metharme pixtral llava qwen2_vl gemma3 gemma3n gemma4
    gemma4_unified command_a command_a_tool_use command_a_rag aya""".split()
)
"""The names that ``chat_template`` takes. Source: Axolotl 0.19.0, ``utils/schemas/enums.py``."""

SCHEDULERS = frozenset(
    """linear cosine cosine_with_restarts polynomial constant constant_with_warmup inverse_sqrt reduce_lr_on_plateau
    cosine_with_min_lr cosine_warmup_with_min_lr warmup_stable_decay greedy one_cycle rex""".split()
)
"""Schedulers that Transformers 5.16.1 and Axolotl 0.19 can build; the schema takes any text."""

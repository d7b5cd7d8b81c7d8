"""Rules about plugins, the losses they bring and the keys that only they read. One function or row, one rule.

Sources: Axolotl 0.19.0 ``integrations/*/args.py``, ``integrations/base.py``.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.core.axolotl.subject import Row, Rule, Subject, fails, info, misleads, rejected
from app.core.coverage import (
    LIGER_CROSS_ENTROPY,
    LIGER_FUSED_LINEAR_FAILS,
    LIGER_LEAVES_SCALE_OUT,
    LIGER_REFUSES,
    NO_LIGER_ROPE,
    NOT_FUSED_BY_LIGER,
)
from app.core.findings import Effect, Finding, Fix
from app.core.nearest import nearest
from app.core.run import CCE_PLUGIN

INTEGRATIONS = "axolotl.integrations"
MOST_LOOKED_UP = 12
"""Unknown plugins for which the nearest known one is looked up."""
LOSSES = (
    "cut_cross_entropy",
    "chunked_cross_entropy",
    "liger_cross_entropy",
    "liger_fused_linear_cross_entropy",
)
CHOICES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "dsv4_fp4_grouped_mode": ("kernels", ("nvfp4",)),
    "dsv4_fp8_nonexpert_mode": ("kernels", ("float8tensor", "bf16")),
    "expert_backend": ("kernels", ("builtin", "eager", "scattermoe", "sonicmoe")),
    "moe_grouped_backend": ("kernels", ("auto", "cutlass", "deepgemm", "marlin")),
    "nonexpert_quantization": ("kernels", ("bf16", "fp8", "fp8_blockwise", "nf4", "none", "nvfp4")),
    "swanlab_mode": ("swanlab", ("cloud", "disabled", "local", "offline")),
}
"""Keys that take text of which a plugin's own check lets only some pass: the plugin and those."""


def two_losses(subject: Subject) -> Iterator[Finding]:
    """One implementation computes the loss. Cut cross entropy counts as on once its plugin is listed."""
    chosen = [key for key in LOSSES if subject.on(key)]
    silent = CCE_PLUGIN in subject.names("plugins") and subject.config.get("cut_cross_entropy") is None
    if len(chosen) > 1:
        yield rejected("two_losses", chosen[1], names=tuple(chosen))
    elif "cut_cross_entropy" in subject.listed_plugins and subject.on("chunked_cross_entropy"):
        fix = Fix(unset=("chunked_cross_entropy",))
        yield rejected("two_losses", "chunked_cross_entropy", fix=fix, names=("cut_cross_entropy", *chosen))
    elif silent and chosen:
        fix = Fix(set={"cut_cross_entropy": False})
        yield misleads("two_losses", chosen[0], fix=fix, names=("cut_cross_entropy", *chosen))


def chunked_loss(subject: Subject) -> Iterator[Finding]:
    """It replaces the loss of causal models only: ``monkeypatch/loss/chunked.py``."""
    if not subject.on("chunked_cross_entropy"):
        return
    if subject.architecture is not None and subject.architecture.multimodal:
        fix = Fix(unset=("chunked_cross_entropy",), safe=True)
        yield misleads("chunked_loss_towers", "chunked_cross_entropy", fix=fix)


def liger_losses(subject: Subject) -> Iterator[Finding]:
    """Which of Liger's losses reach this architecture: ``integrations/liger/plugin.py``."""
    if "liger" not in subject.listed_plugins or subject.architecture is None or subject.architecture.approximate:
        return
    if subject.on("reward_model") and subject.model_type not in LIGER_REFUSES:  # whose loss is none of Liger's
        return
    model_type, fused = subject.model_type, "liger_fused_linear_cross_entropy"
    if subject.on(fused):
        fix = Fix(unset=(fused,), safe=True)
        if model_type in LIGER_FUSED_LINEAR_FAILS:
            yield fails("liger_loss_fails", fused, fix=fix)
        elif model_type in NOT_FUSED_BY_LIGER:
            yield misleads("liger_loss_missing", fused, fix=fix, key=fused)
        elif model_type in LIGER_LEAVES_SCALE_OUT:
            yield misleads("liger_loss_scale", fused, fix=Fix(unset=(fused,)))
    if subject.on("liger_cross_entropy") and model_type not in LIGER_CROSS_ENTROPY:
        fix = Fix(unset=("liger_cross_entropy",), safe=True)
        yield misleads("liger_loss_missing", "liger_cross_entropy", fix=fix, key="liger_cross_entropy")


def cut_cross_entropy(subject: Subject) -> Iterator[Finding]:
    """The explicit key wants an explicit half precision, although bf16 is automatic by default."""
    listed = subject.schema is None or "cut_cross_entropy" in subject.listed_plugins
    if listed and subject.on("cut_cross_entropy") and not subject.on("bf16") and not subject.on("fp16"):
        # An explicit false is a wish that the fix must not overrule.
        fix = Fix(set={"bf16": "auto"}, safe=True) if subject.config.get("bf16") is None else None
        yield rejected("cut_needs_half", "bf16", fix=fix)


def plugin_names(subject: Subject) -> Iterator[Finding]:
    """What is listed is imported: a module that is not there is only logged, and its keys mean nothing.

    A class that is not in its module stops Axolotl (``load_plugin``).
    """
    schema = subject.schema
    if schema is None:
        return
    modules = {INTEGRATIONS, *(name.rpartition(".")[0] for name in schema.plugin_classes)}
    names = subject.names("plugins")
    misspelt = [n for n in names if n.startswith(f"{INTEGRATIONS}.") and n not in schema.plugin_classes]
    meant = {name: nearest(name, schema.plugin_classes, count=1) for name in misspelt[:MOST_LOOKED_UP]}
    listed = [(meant.get(name) or (name,))[0] for name in names]
    fix = Fix(set={"plugins": listed}) if listed != list(names) else None
    dotless, own = 0, tuple(schema.plugin_classes)
    for name in names:
        if "." not in name:
            dotless += 1
            close = nearest(name, schema.plugin_classes, count=1) if dotless <= MOST_LOOKED_UP else ()
            yield rejected("plugin_dotless", "plugins", given=name[:80], nearest=close or own)
        elif name.startswith(f"{INTEGRATIONS}.") and name not in schema.plugin_classes:
            close = meant.get(name, ())
            if name.rpartition(".")[0] in modules:
                yield rejected("plugin_class", "plugins", fix=fix, given=name[:120], nearest=close or own)
            else:
                yield misleads("plugin_unknown", "plugins", fix=fix, given=name[:120], nearest=close or own)
            fix = None  # the first puts all of them right
        elif name not in schema.plugin_classes:
            yield info("plugin_own", "plugins", given=name[:120])


def plugin_keys(subject: Subject) -> Iterator[Finding]:
    """A plugin's keys mean nothing unless the plugin is listed."""
    schema = subject.schema
    if schema is None:
        return
    listed = subject.listed_plugins
    names = [name for name in subject.names("plugins") if name.startswith(f"{INTEGRATIONS}.")][:MOST_LOOKED_UP]
    meant = {schema.plugin_classes[n] for name in names for n in nearest(name, schema.plugin_classes, count=1)}
    for key in sorted(name for name in subject.config if name in schema.plugin_of):
        package = schema.plugin_of[key]
        if subject.config[key] is not None and package not in listed | meant:
            path = schema.class_of(package)
            fix = Fix(set={"plugins": [*subject.names("plugins"), path]}) if path and subject.on(key) else None
            yield misleads("plugin_missing", key, fix=fix, key=key, plugin=path or package)


def choices(subject: Subject) -> Iterator[Finding]:
    """Values that a plugin's own check refuses."""
    for key, (package, allowed) in CHOICES.items():
        given = subject.config.get(key)
        if given is None or package not in subject.listed_plugins:
            continue
        shown = given if package == "swanlab" else str(given).lower()
        if shown not in allowed:
            yield rejected("value_choice", key, key=key, given=str(given)[:60], allowed=allowed)


def experts_backend(subject: Subject) -> Iterator[Finding]:
    """One backend computes the experts."""
    if "kernels" not in subject.listed_plugins:
        return
    backend = str(subject.config.get("expert_backend") or "").lower()
    flags = {"scattermoe": "use_scattermoe", "sonicmoe": "use_sonicmoe"}
    for name, flag in flags.items():
        if backend and backend != name and subject.config.get(flag) is True:
            yield rejected("experts_twice", flag, fix=Fix(unset=(flag,)))
    if not backend and all(map(subject.on, flags.values())):
        yield rejected("experts_twice", "use_sonicmoe", fix=Fix(unset=("use_sonicmoe",)))
    chunk = subject.config.get("moe_dequant_chunk_size")
    if chunk is not None and (isinstance(chunk, bool) or (subject.number("moe_dequant_chunk_size") or 0) < 1):
        yield rejected("not_positive", "moe_dequant_chunk_size", key="moe_dequant_chunk_size", given=str(chunk)[:40])


def nemo_gym(subject: Subject) -> Iterator[Finding]:
    """Its environments and their data."""
    if "nemo_gym" not in subject.listed_plugins or not subject.on("nemo_gym_enabled"):
        return
    for key in ("nemo_gym_config_paths", "nemo_gym_datasets"):
        needed = key != "nemo_gym_config_paths" or subject.config.get("nemo_gym_auto_start", True)
        if needed and not subject.on(key):
            yield rejected("plugin_needs", key, key=key, plugin="nemo_gym")
            return


def swanlab(subject: Subject) -> Iterator[Finding]:
    """Logging there needs a project."""
    if (
        "swanlab" in subject.listed_plugins
        and subject.config.get("use_swanlab", True)
        and not subject.text("swanlab_project").strip()
    ):
        fix = Fix(set={"use_swanlab": False})
        yield rejected("plugin_needs", "swanlab_project", fix=fix, key="swanlab_project", plugin="swanlab")


def diffusion(subject: Subject) -> Iterator[Finding]:
    """The least share of masked tokens is no larger than the largest."""
    inner = subject.mapping("diffusion")
    least, most = inner.get("min_mask_ratio", 0.1), inner.get("max_mask_ratio", 0.9)
    if "diffusion" in subject.listed_plugins and _numbers(least, most) and least > most:
        yield rejected("mask_ratios", "diffusion.min_mask_ratio")


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _with(package: str, when: Callable[[Subject], bool]) -> Callable[[Subject], bool]:
    return lambda subject: package in subject.listed_plugins and when(subject)


PLUGIN_RULES: tuple[Rule, ...] = (
    two_losses,
    chunked_loss,
    liger_losses,
    cut_cross_entropy,
    plugin_names,
    plugin_keys,
    choices,
    experts_backend,
    nemo_gym,
    swanlab,
    diffusion,
    Row(
        code="liger_rope_missing",
        key="liger_rope",
        when=_with("liger", lambda s: s.flag("liger_rope") and s.model_type in NO_LIGER_ROPE),
        effect=Effect.FAILS_AT_RUN,
        fix=Fix(unset=("liger_rope",), safe=True),
    ),
    Row(
        code="liger_jamba",
        key="plugins",
        when=_with("liger", lambda s: s.model_type == "jamba"),
        effect=Effect.FAILS_AT_RUN,
    ),
    Row(
        code="liger_tiled",
        key="liger_glu_activation",
        when=_with(
            "liger",
            lambda s: (
                (s.config.get("liger_glu_activation") is True or s.config.get("liger_swiglu") is True)
                and s.config.get("tiled_mlp") is True
                and not s.on("tiled_mlp_use_original_mlp")
            ),
        ),
        fix=Fix(set={"tiled_mlp_use_original_mlp": True}),
    ),
    Row(
        code="liger_scaling",
        key="liger_use_token_scaling",
        when=_with("liger", lambda s: s.on("liger_use_token_scaling") and not s.on("liger_fused_linear_cross_entropy")),
        fix=Fix(set={"liger_use_token_scaling": False}, safe=True),
    ),
    Row(
        code="expert_parallel_size",
        key="expert_parallel_size",
        when=_with(
            "expert_parallel",
            lambda s: (s.number("expert_parallel_size") or 1) < 1 or s.number("expert_parallel_size") == 0,
        ),
        fix=Fix(set={"expert_parallel_size": 1}, safe=True),
    ),
    Row(
        code="dsv4_attention",
        key="use_dsv4_kernels",
        when=_with(
            "kernels",
            lambda s: (
                s.on("use_dsv4_kernels")
                and (s.on("lora_target_modules") or s.on("lora_target_linear"))
                and not s.on("lora_exclude_modules")
            ),
        ),
    ),
    Row(
        code="mora_peft",
        key="adapter",
        when=_with("mora", lambda s: s.text("adapter") == "mora"),
        effect=Effect.FAILS_AT_RUN,
    ),
)

"""Activation offloading: the hooks of TRL 1.9.0 and of Axolotl 0.19.0 with the lifetimes of their references; copies to the host are
counted, not made.

``Offload`` follows ``trl/models/activation_offloading.py`` (``OffloadActivations``) with Axolotl's clone on the compute stream; what Axolotl
really does with it (``core/trainers/mixins/activation_checkpointing.py``, ``loaders/model.py``): under an adapter the loader has
switched checkpointing on already and nothing switches it off, so the hooks see the checkpoints and, in the backward, all that is
made again; in full fine-tuning each layer is wrapped in a checkpoint that is not reentrant. ``Marked`` is
``monkeypatch/checkpoint_activation_offload.py``, ``HiddenStates`` ``monkeypatch/activation_offload_checkpoint.py``.
"""

from __future__ import annotations

import torch
from torch.autograd.graph import saved_tensors_hooks

LEAST = 1024
"""Bytes below which a tensor stays."""
STASH = 5
"""Saved tensors whose copies may be under way, in ``OffloadActivations``; two in ``Marked``."""


def _bytes(t: torch.Tensor) -> int:
    return t.element_size() * t.nelement()


class Host:
    """Bytes on the host and their peak."""

    def __init__(self) -> None:
        self.now = self.peak = 0

    def add(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)


class Offload(saved_tensors_hooks):
    """Every saved tensor of a kibibyte or more goes to the host, but parameters and what was saved a moment ago."""

    def __init__(self, host: Host, streams: bool, parameters: set[int]) -> None:
        self.host, self.streams, self.parameters = host, streams, parameters
        self.tracker: dict[int, tuple] = {}
        self.keys: dict[tuple, int] = {}
        self.key_of: dict[int, tuple] = {}
        self.count = 0
        self.forward_stash: dict[int, torch.Tensor] = {}
        self.backward_stash: dict[int, torch.Tensor] = {}
        self.events: set[int] = set()
        self.graph = self.node = None
        self.first_backward = True
        super().__init__(self._pack, self._unpack)

    def _release(self, identity: int) -> None:
        key = self.key_of.pop(identity, None)
        if key is not None and self.keys.get(key) == identity:
            del self.keys[key]

    def _track(self, key: tuple, identity: int) -> None:
        self.keys[key] = identity
        self.key_of[identity] = key

    def _pack(self, t: torch.Tensor):
        if self.streams and not isinstance(t, torch.nn.Parameter) and (not t.is_contiguous() or t.storage_offset()):
            t = t.clone(memory_format=torch.contiguous_format)
        if not self.tracker:
            self.first_backward = True
        self.count += 1
        identity = self.count
        key = (t.untyped_storage()._cdata + t.storage_offset(), t.dtype)
        if key in self.keys:
            self.tracker[identity] = (t, False)
            self._track(key, identity)
            return identity
        if _bytes(t) < LEAST or isinstance(t, torch.nn.Parameter) or t.untyped_storage()._cdata in self.parameters:
            self.tracker[identity] = (t, False)
            return identity
        if self.streams:
            for old in list(self.forward_stash):
                if old > identity - STASH:
                    break
                del self.forward_stash[old]
                self._release(old)
        if not t.is_contiguous() or t.storage_offset():
            t = t.clone(memory_format=torch.contiguous_format)
        self.host.add(_bytes(t))
        self.tracker[identity] = ((t.shape, t.dtype, _bytes(t)), True)
        if self.streams:
            self.forward_stash[identity] = t
            self._track(key, identity)
        return identity

    def _unpack(self, identity: int) -> torch.Tensor:
        held, moved = self.tracker[identity]
        if self.first_backward:
            self.graph = torch._C._current_graph_task_id()
            if self.streams:
                torch.autograd.Variable._execution_engine.queue_callback(self.backward_stash.clear)
            self.first_backward = False
        if not moved:
            found = held
        elif not self.streams:
            self.host.add(-held[2])
            found = torch.empty(held[0], dtype=held[1])
        else:
            self.host.add(-held[2])
            found = self._streamed(identity, held)
        del self.tracker[identity]
        self._release(identity)
        return found

    def _streamed(self, identity: int, held: tuple) -> torch.Tensor:
        graph, node = torch._C._current_graph_task_id(), torch._C._current_autograd_node()
        before: list[int] = []
        if graph == self.graph and self.node != node:
            self.node = node
            before = list(self.backward_stash)
        brought = identity not in self.forward_stash
        if brought:
            found = torch.empty(held[0], dtype=held[1])
            self.backward_stash[identity] = found
            references = torch._C._storage_Use_Count(found.untyped_storage()._cdata)
        else:
            found, references = self.forward_stash[identity], 0

        def hook(outputs, inputs):
            if brought and identity in self.backward_stash:
                now = torch._C._storage_Use_Count(self.backward_stash[identity].untyped_storage()._cdata)
                if now > references:
                    del self.backward_stash[identity]
                else:
                    self.events.add(identity)
            for old in list(self.forward_stash):
                del self.forward_stash[old]
                self._release(old)
            for old in before:
                self.events.discard(old)
                self.backward_stash.pop(old, None)
            return outputs

        node.register_hook(hook)
        return found

    def __enter__(self):
        for kept in (self.tracker, self.keys, self.key_of, self.forward_stash, self.backward_stash):
            kept.clear()
        self.events.clear()
        self.count, self.first_backward, self.host.now = 0, True, 0
        return super().__enter__()

    def __exit__(self, *args):
        self.forward_stash.clear()
        self.backward_stash.clear()
        return super().__exit__(*args)


def spare_head(model) -> None:
    """What the output head saves is not offloaded."""
    head = model.base_model if hasattr(model, "peft_config") else model
    keep = saved_tensors_hooks(lambda t: t, lambda t: t)
    if hasattr(head, "lm_head"):
        head.lm_head.register_forward_pre_hook(lambda *_: keep.__enter__() and None)
        head.lm_head.register_forward_hook(lambda *_: keep.__exit__() and None, always_call=True)


class Marked(saved_tensors_hooks):
    """``activation_offloading: hidden_states`` where checkpoints are not reentrant: the inputs of the layers alone."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.marks: set[int] = set()
        self.stash: dict[int, torch.Tensor] = {}
        self.count = 0
        super().__init__(self._pack, self._unpack)

    def _pack(self, t: torch.Tensor):
        if id(t) not in self.marks:
            return t
        self.marks.discard(id(t))
        self.count += 1
        for old in list(self.stash):
            if old <= self.count - 2:
                del self.stash[old]
        self.host.add(_bytes(t))
        self.stash[self.count] = t
        return (self.count, t.shape, t.dtype, _bytes(t))

    def _unpack(self, held):
        if isinstance(held, torch.Tensor):
            return held
        identity, shape, dtype, size = held
        self.host.add(-size)
        return self.stash.pop(identity) if identity in self.stash else torch.empty(shape, dtype=dtype)

    def __enter__(self):
        self.marks.clear()
        self.stash.clear()
        return super().__enter__()

    def mark_layers(self, model) -> None:
        from transformers import GradientCheckpointingLayer

        kept = GradientCheckpointingLayer.__call__
        if getattr(kept, "marking", False):
            kept = kept.inner

        def call(layer, *args, **kwargs):
            if layer.training and torch.is_grad_enabled() and layer.gradient_checkpointing:
                x = args[0] if args else kwargs.get("hidden_states")
                if torch.is_tensor(x):
                    call.owner.marks.add(id(x))
            return kept(layer, *args, **kwargs)

        call.marking, call.inner, call.owner = True, kept, self
        GradientCheckpointingLayer.__call__ = call


def unmark_layers() -> None:
    from transformers import GradientCheckpointingLayer

    GradientCheckpointingLayer.__call__ = getattr(
        GradientCheckpointingLayer.__call__, "inner", GradientCheckpointingLayer.__call__
    )


def _autocast() -> dict:
    """What the forward runs under, and the layer once more when it is made again."""
    return {"enabled": torch.is_autocast_enabled("cpu"), "dtype": torch.get_autocast_dtype("cpu")}


class HiddenStates(torch.autograd.Function):
    """``HiddenStatesOffloadCheckpoint``: at most two copies under way in the forward, one input fetched ahead in the backward."""

    host: Host
    flying: list = []
    waiting: dict = {}
    fetched: dict = {}
    count = 0

    @staticmethod
    def forward(ctx, run, preserve, *args):
        cls = HiddenStates
        ctx.run, ctx.position = run, next(i for i, a in enumerate(args) if torch.is_tensor(a))
        x = args[ctx.position]
        ctx.autocast = _autocast()
        ctx.identity, cls.count = cls.count, cls.count + 1
        cls.flying.append(x.detach())
        del cls.flying[:-2]
        cls.waiting[ctx.identity] = (x.shape, x.dtype, x.requires_grad)
        cls.host.add(_bytes(x))
        ctx.rest = [None if i == ctx.position else a for i, a in enumerate(args)]
        with torch.no_grad():
            return run(*args)

    @staticmethod
    def backward(ctx, *grads):
        cls = HiddenStates
        cls.flying.clear()
        shape, dtype, needs = cls.waiting.pop(ctx.identity)
        x = cls.fetched.pop(ctx.identity, None)
        if x is None:
            x = torch.empty(shape, dtype=dtype)
        following = ctx.identity - 1
        if following in cls.waiting:
            cls.fetched[following] = torch.empty(cls.waiting[following][0], dtype=cls.waiting[following][1])
        if not cls.waiting:
            cls.count = 0
        cls.host.add(-_bytes(x))
        x = x.detach().requires_grad_(needs)
        args = list(ctx.rest)
        args[ctx.position] = x
        with (
            torch.enable_grad(),
            torch.autocast("cuda", **ctx.autocast),
            torch.autocast("cpu", **ctx.autocast),
        ):
            out = ctx.run(*args)
        torch.autograd.backward([out], list(grads[:1]))
        return None, None, *(x.grad if i == ctx.position else None for i in range(len(args)))


class Legacy(torch.autograd.Function):
    """``CPU_Offloaded_Gradient_Checkpointer``: the layer's input to the host, back at its backward."""

    host: Host

    @staticmethod
    def forward(ctx, run, x, *args):
        ctx.run, ctx.args, ctx.shape, ctx.dtype = run, args, x.shape, x.dtype
        ctx.autocast = _autocast()
        Legacy.host.add(_bytes(x))
        with torch.no_grad():
            return run(x, *args)

    @staticmethod
    def backward(ctx, grad):
        x = torch.empty(ctx.shape, dtype=ctx.dtype).requires_grad_(True)
        Legacy.host.add(-_bytes(x))
        with (
            torch.enable_grad(),
            torch.autocast("cuda", **ctx.autocast),
            torch.autocast("cpu", **ctx.autocast),
        ):
            out = ctx.run(x, *ctx.args)
        torch.autograd.backward(out, grad)
        return None, x.grad, *(None for _ in ctx.args)


def offloaded(model, cfg: dict, checkpoint_kwargs: dict, host: Host):
    """Put ``activation_offloading`` upon a model's layers; the hooks that a step runs under, if there are any."""
    import torch.utils.checkpoint as checkpoints
    from transformers import GradientCheckpointingLayer

    mode = cfg["activation_offloading"]
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    if mode == "hidden_states":
        if checkpoint_kwargs.get("use_reentrant"):
            HiddenStates.host = host
            for layer in layers:
                layer._gradient_checkpointing_func = lambda run, *args: HiddenStates.apply(run, False, *args)
        else:
            hooks = Marked(host)
            hooks.mark_layers(model)
            return hooks
        return None
    if not cfg.get("adapter"):  # ``ac_wrap_hf_model``
        for layer in layers:
            layer.gradient_checkpointing = True
            layer._gradient_checkpointing_func = lambda run, *args: checkpoints.checkpoint(
                run, *args, use_reentrant=False, preserve_rng_state=False
            )
    elif mode == "legacy":
        Legacy.host = host
        for layer in layers:
            layer._gradient_checkpointing_func = lambda run, *args: Legacy.apply(run, *args)
    spare_head(model)
    known = set() if cfg.get("adapter") else {p.untyped_storage()._cdata for p in model.parameters()}
    return Offload(host, mode != "legacy", known)

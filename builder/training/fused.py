"""The steps that training spends its time on, each as one function with its gradient written out.

They compute what transformers and PEFT compute, with fewer passes over memory; tests hold them to that.
"""

from types import MethodType
from typing import Any

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

CHUNK = 128
"""Tokens whose logits are formed at once: enough for a quick matrix product, few enough to stay near the processor."""


class LoraLinear(Function):
    """x W' + bias + scale (x A') B' (Hu et al. 2021), for a frozen W; x is kept once, and nothing of W's size."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, a: torch.Tensor,
                b: torch.Tensor, scale: float) -> torch.Tensor:
        """x: … x inputs, weight: outputs x inputs, a: rank x inputs, b: outputs x rank; returns … x outputs."""
        rows = x.reshape(-1, x.shape[-1])
        a, b = (a * scale).to(x.dtype), b.to(x.dtype)
        low = rows @ a.t()
        made = rows @ weight.t() if bias is None else torch.addmm(bias, rows, weight.t())
        made.addmm_(low, b.t())
        ctx.save_for_backward(rows, weight, a, b, low)
        ctx.scale, ctx.shape = scale, x.shape
        whole: torch.Tensor = made.view(*x.shape[:-1], -1)
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of x, A and B; those of A and B in fp32, in which they are kept."""
        rows, weight, a, b, low = ctx.saved_tensors
        above = above.reshape(-1, above.shape[-1])
        narrow = above @ b
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (above @ weight).addmm_(narrow, a).view(ctx.shape)
        return of_x, None, None, (narrow.t() @ rows).float().mul_(ctx.scale), (above.t() @ low).float(), None


class RmsNorm(Function):
    """x / sqrt(mean(x²) + epsilon) * weight (Zhang and Sennrich 2019), for a frozen weight."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        """x: … x width; the mean is taken in fp32."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        inverse = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_().to(x.dtype)
        ctx.save_for_backward(x, weight, inverse)
        made: torch.Tensor = (x * inverse).mul_(weight)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of x."""
        x, weight, inverse = ctx.saved_tensors
        above, normed = above * weight, x * inverse
        mean = (above * normed).sum(-1, keepdim=True, dtype=torch.float32).div_(x.shape[-1]).to(x.dtype)
        return normed.mul_(mean).neg_().add_(above).mul_(inverse), None, None


class SwiGlu(Function):
    """silu(gate) * up (Shazeer 2020); keeps its two inputs and computes the rest again."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """Both of one shape."""
        ctx.save_for_backward(gate, up)
        return functional.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradients of gate and up."""
        gate, up = ctx.saved_tensors
        return torch.ops.aten.silu_backward(above * up, gate), functional.silu(gate).mul_(above)


class HeadLoss(Function):
    """Cross-entropy of the output head, token by token, without ever holding the logits of all of them."""

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """states: tokens x width, weight: vocabulary x width (frozen), labels: tokens; returns tokens, fp32."""
        losses = torch.empty(len(states), dtype=torch.float32, device=states.device)
        slopes = torch.empty_like(states)
        for start in range(0, len(states), CHUNK):
            piece, wanted = states[start:start + CHUNK], labels[start:start + CHUNK, None]
            chances = (piece @ weight.t()).float()
            whole = chances.logsumexp(-1, keepdim=True)
            losses[start:start + CHUNK] = (whole - chances.gather(1, wanted)).squeeze(1)
            if ctx.needs_input_grad[0]:
                chances.sub_(whole).exp_().scatter_add_(1, wanted, torch.full_like(whole, -1.0))
                slopes[start:start + CHUNK] = chances.to(states.dtype) @ weight
        ctx.save_for_backward(slopes)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of the states."""
        (slopes,) = ctx.saved_tensors
        return slopes * above[:, None].to(slopes.dtype), None, None


def fuse(model: Any) -> None:
    """Let plain LoRA layers, RMS norms and SwiGLU blocks of a model compute by the functions above.

    A block of another kind, or one whose numbers come out otherwise on a trial, is left as it is.
    """
    for module in model.modules():
        if _is_plain_lora(module):
            module.forward = MethodType(_lora, module)
        elif hasattr(module, "variance_epsilon") and not module.weight.requires_grad:
            _if_same(module, _norm, module.weight.shape[0])
        elif all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
            _if_same(module, _swiglu, module.gate_proj.in_features)


def _if_same(module: Any, quicker: Any, width: int) -> None:
    """Replace a module's forward where the quicker one gives the same on a trial input."""
    trial = torch.linspace(-2, 2, 3 * width, dtype=_dtype(module)).view(1, 3, width)
    with torch.no_grad():
        if torch.allclose(module(trial), quicker(module, trial), rtol=1e-4, atol=1e-5):
            module.forward = MethodType(quicker, module)


def _dtype(module: Any) -> torch.dtype:
    """The dtype of a module's weights."""
    found: torch.dtype = next(module.parameters()).dtype
    return found


def _is_plain_lora(module: Any) -> bool:
    return (hasattr(module, "lora_A") and "default" in module.lora_A and isinstance(module.base_layer, torch.nn.Linear)
            and type(module.base_layer) is torch.nn.Linear and not getattr(module, "use_dora", {}).get("default")
            and not module.lora_variant and not getattr(module, "lora_bias", {}).get("default")
            and not module.base_layer.weight.requires_grad
            and isinstance(module.lora_dropout["default"], torch.nn.Identity))


def _lora(self: Any, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    if self.disable_adapters or self.merged:
        return self.base_layer(x)  # type: ignore[no-any-return]
    made: torch.Tensor = LoraLinear.apply(x, self.base_layer.weight, self.base_layer.bias,
                                          self.lora_A["default"].weight, self.lora_B["default"].weight,
                                          self.scaling["default"])
    return made


def _norm(self: Any, x: torch.Tensor) -> torch.Tensor:
    made: torch.Tensor = RmsNorm.apply(x, self.weight, self.variance_epsilon)
    return made


def _swiglu(self: Any, x: torch.Tensor) -> torch.Tensor:
    return self.down_proj(SwiGlu.apply(self.gate_proj(x), self.up_proj(x)))  # type: ignore[no-any-return]

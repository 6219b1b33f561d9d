"""One optimizer with Muon for the hidden matrices and AdamW for all other weights.

Muon (K. Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/; `torch.optim.Muon`) orthogonalises the
update of a weight matrix. The tiny model reaches the same loss in about half of AdamW's steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["MuonAdamW"]


class MuonAdamW(torch.optim.Optimizer):
    """Muon for two-dimensional weights; AdamW for embeddings, the output head, norms and biases.

    Args:
        model: the model to train.
        lr: learning rate of both optimizers (Muon's update is scaled to AdamW's root mean square).
        weight_decay: decoupled weight decay of both optimizers.
        betas: AdamW's betas.
        dtype: precision of Muon's iterations.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.95),
        dtype: torch.dtype = torch.float32,
    ):
        outer = {id(p) for layer in _outer_layers(model) for p in layer.parameters()}
        trained = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim == 2 and id(p) not in outer]
        inner = {id(p) for p in matrices}
        others = [p for p in trained if id(p) not in inner]
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            self._parts.append(_Muon(matrices, dtype, lr=lr, weight_decay=weight_decay))
        if others:
            self._parts.append(torch.optim.AdamW(others, lr=lr, weight_decay=weight_decay, betas=betas))
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Gives both optimizers this optimizer's parameter groups and state.

        So a scheduler's learning rate reaches them, and ``state_dict`` is an ordinary optimizer's.
        """
        groups = iter(self.param_groups)
        for part in self._parts:
            part.param_groups = [next(groups) for _ in part.param_groups]
            part.state = self.state

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of both optimizers."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state of both optimizers."""
        super().load_state_dict(_joined(state_dict["parts"]) if "parts" in state_dict else state_dict)
        self._share()


class _Muon(torch.optim.Muon):
    """Muon that iterates in a given precision.

    torch's always iterates in bfloat16. A CPU without instructions for it multiplies that many times more slowly than
    float32, and the optimizer then takes as long as the rest of the tiny model's step.
    """

    def __init__(self, params: list[nn.Parameter], dtype: torch.dtype, **options: Any):
        super().__init__(params, adjust_lr_fn="match_rms_adamw", **options)
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step, as in `torch.optim.Muon`."""
        for group in self.param_groups:
            decay, momentum = 1 - group["lr"] * group["weight_decay"], group["momentum"]
            for weight in (p for p in group["params"] if p.grad is not None):
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(weight.grad)
                average = state["momentum_buffer"].lerp_(weight.grad, 1 - momentum)
                update = weight.grad.lerp(average, momentum) if group["nesterov"] else average
                rate = group["lr"] * 0.2 * max(weight.shape) ** 0.5  # match_rms_adamw
                weight.mul_(decay).add_(self._orthogonal(update, group), alpha=-rate)

    def _orthogonal(self, update: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        """Newton-Schulz iterations towards the nearest matrix with orthogonal rows or columns."""
        a, b, c = group["ns_coefficients"]
        tall = update.shape[0] > update.shape[1]
        x = (update.T if tall else update).to(self._dtype)
        x = x / x.norm().clamp(min=group["eps"])
        for _ in range(group["ns_steps"]):
            gram = x @ x.T
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x.T if tall else x


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The state of checkpoints up to version 0.2, which held each optimizer's apart."""
    state: dict[int, Any] = {}
    groups: list[dict[str, Any]] = []
    for part in parts:
        first = sum(len(group["params"]) for group in groups)
        state |= {first + i: values for i, values in part["state"].items()}
        groups += [{**group, "params": [first + i for i in group["params"]]} for group in part["param_groups"]]
    return {"state": state, "param_groups": groups}


def _outer_layers(model: nn.Module) -> list[nn.Module]:
    layers = (getattr(model, name)() for name in ("get_input_embeddings", "get_output_embeddings"))
    return [layer for layer in layers if layer is not None]

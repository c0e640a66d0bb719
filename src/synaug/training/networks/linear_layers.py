"""Find the last linear layer of a network."""

from __future__ import annotations

from torch import nn

from synaug.errors import OptionError, unknown


def last_linear(model: nn.Module, layer: str | None = None) -> tuple[str, nn.Linear]:
    """Return the name and the layer: the last linear layer of a network, or the named one.

    Raises:
        OptionError: there is none, or none of that name.
    """
    if not isinstance(model, nn.Module):
        raise OptionError(f"model must be a torch network (nn.Module), got {type(model).__name__}.")
    linear = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    if not linear:
        raise OptionError(f"{type(model).__name__} has no nn.Linear, so its classifier cannot be retrained.")
    name = list(linear)[-1] if layer is None else layer
    if name not in linear:
        raise unknown("linear layer", name, linear)
    return name, linear[name]

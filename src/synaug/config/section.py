"""Define a section: the base class of all groups of options."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

MAX_SEED = 2**32 - 1  # largest seed that scikit-learn and NumPy's legacy generators accept


class Section(BaseModel):
    """A group of options; unknown ones are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

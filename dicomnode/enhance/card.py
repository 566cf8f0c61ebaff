"""The model card: what is known of a set of weights, in TOML beside them. Weights without a card are not used.

limits = ["Adults only.", "Not for temporal bone."]

[model]
name = "ct-denoise"                    # the pipeline's name
version = "1.0"
title = "CT denoising, residual GAN"
intended_use = "..."
not_for = "..."
licence = "Apache-2.0"

[weights]
file = "ct-denoise-1.1.safetensors"    # beside the card
sha256 = "..."
parameters = 150000

[[training_data]]                      # [[held_out_data]] has the same fields
name = "..."
package = "..."
version = "..."
file = "..."
sha256 = "..."
licence = "..."
role = "training"

[training]                             # free
[metrics]                              # free

[golden]                               # optional, see `Golden`
seed = 1
shape = [1, 3, 64, 64]
mean = 0.01
std = 31.2
probe = [1.5, -20.0]
tolerance = 0.05
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dicomnode.enhance.errors import CardRefused

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelTable(_Table):
    """What the model is, and what it is for and not for."""

    name: Text
    version: Text
    title: Text
    intended_use: Text
    not_for: Text
    licence: Text


class WeightsTable(_Table):
    """The file of weights beside the card. Only these bytes are loaded under this card."""

    file: Text
    sha256: Sha256
    parameters: int = Field(ge=0)


class DataTable(_Table):
    """One file of data, and where to get it: a package of a public registry, its version, the file in it."""

    name: Text
    package: Text
    version: Text
    file: Text
    sha256: Sha256
    licence: Text
    role: Text


class Golden(_Table):
    """A known input and what the network makes of it; checked whenever the weights are loaded.

    The input is `numpy.random.default_rng(seed).normal(0, 50, shape)` as float32 in physical units, the parameters
    named `strength` and `texture` are 1, the others keep their defaults, the arithmetic is float32, no guard acts.
    `mean` and `std` (population) are those of the whole output; `probe` holds the output at the flat indices
    `numpy.linspace(0, output.size - 1, len(probe)).round()`. `tolerance` is absolute and holds for each number.
    """

    seed: int = Field(ge=0)
    shape: tuple[int, int, int, int]
    mean: float
    std: float
    probe: tuple[float, ...] = Field(min_length=1)
    tolerance: float = Field(gt=0)


class ModelCard(_Table):
    """A whole card. `training` and `metrics` are free tables; `limits` are sentences for the reader."""

    model: ModelTable
    weights: WeightsTable
    training_data: tuple[DataTable, ...] = Field(min_length=1)
    held_out_data: tuple[DataTable, ...] = ()
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    limits: tuple[Text, ...] = Field(min_length=1)
    golden: Golden | None = None


def read_card(path: Path) -> ModelCard:
    """The card in the TOML file `path`; CardRefused with one sentence if there is none or it is incomplete."""
    try:
        return ModelCard.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise CardRefused(f"the model card {path.name} is missing") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CardRefused(f"the model card {path.name} is not complete: {where}: {first['msg']}") from error
    except RecursionError as error:
        raise CardRefused(f"the model card {path.name} cannot be read: it is too deeply nested") from error
    except (OSError, ValueError) as error:
        raise CardRefused(f"the model card {path.name} cannot be read: {error}") from error

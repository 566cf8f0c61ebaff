"""What a site's model is called, and the file, module and class names that follow from that."""

import re
from dataclasses import dataclass

from dicomnode.cli.common import fail

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]*")


@dataclass(frozen=True)
class Naming:
    """Name and version of a model. Raises CommandFailed where they cannot be those of a pipeline."""

    name: str
    version: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            fail(f"--name takes words of small letters and digits joined by hyphens, not {self.name!r}")
        if not _VERSION.fullmatch(self.version):
            fail(f"--version takes a text such as 1.0, not {self.version!r}")

    @property
    def weights(self) -> str:
        """`ct-denoise-site-1.0.safetensors`: its card and its limits are the same name with other endings."""
        return f"{self.name}-{self.version}.safetensors"

    @property
    def module(self) -> str:
        """`ct-denoise-site` -> `ct_denoise_site`; a name that begins with a digit gets a word before it."""
        module = self.name.replace("-", "_")
        return module if module.isidentifier() else f"model_{module}"

    @property
    def class_name(self) -> str:
        """`ct-denoise-site` -> `CtDenoiseSite`."""
        joined = "".join(word.capitalize() for word in self.name.split("-"))
        return joined if joined.isidentifier() else f"Model{joined}"

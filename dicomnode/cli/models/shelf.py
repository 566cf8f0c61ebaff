"""The administrator's folder of pipelines: where a model is put beside the others, whole or not at all."""

from pathlib import Path

from dicomnode.cli.common import fail
from dicomnode.cli.models.naming import Naming
from dicomnode.enhance.discovery import bundled_folder
from dicomnode.enhance.errors import EnhanceError
from dicomnode.enhance.registry import Registry


class Shelf:
    """The folder that `[pipelines] path` names. Raises CommandFailed if that is the folder of the shipped ones."""

    def __init__(self, folder: Path) -> None:
        bundled = bundled_folder()
        if bundled is not None and folder.resolve() == bundled.resolve():
            fail(
                "[pipelines] path names the folder of the shipped pipelines, which are never changed; name a folder of "
                "this site's own in the settings file, or in DICOMNODE_PIPELINES__PATH"
            )
        self.folder = folder

    def place(self, naming: Naming, weights: bytes, card: str, limits: str | None, pipeline: str) -> Path:
        """Write the files of a model, load it as the node will, and return its weights.

        Nothing that is there is replaced, and nothing stays of a model that does not load. The pipeline's file comes
        last: a node that starts meanwhile does not find half a model. Raises CommandFailed.
        """
        stem = self.folder / "weights" / naming.weights
        files: list[tuple[Path, bytes]] = [(stem, weights), (stem.with_suffix(".toml"), card.encode())]
        if limits is not None:
            files.append((stem.with_suffix(".limits.toml"), limits.encode()))
        files.append((self.folder / f"{naming.module}.py", pipeline.encode()))
        for path, _ in files:
            if path.exists():
                fail(f"{path} is there already and is not replaced; choose another --name or --version")
        written: list[Path] = []
        try:
            stem.parent.mkdir(parents=True, exist_ok=True)
            for path, data in files:
                with path.open("xb") as file:
                    written.append(path)
                    file.write(data)
            self._load(naming)
        except BaseException as error:
            for path in written:
                path.unlink()
            if isinstance(error, OSError):
                fail(f"cannot write into {self.folder}: {error.strerror}")
            raise
        return stem

    def _load(self, naming: Naming) -> None:
        import torch

        from dicomnode.enhance.loaded import load_pipeline

        try:
            load_pipeline(Registry.load([self.folder]).usable(naming.name), torch.device("cpu"))
        except EnhanceError as error:
            fail(f"the model does not load: {error}")

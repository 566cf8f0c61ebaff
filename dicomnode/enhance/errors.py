"""What can go wrong in the enhance room. Every message is one sentence that an administrator can read."""

from typing import ClassVar

FAILS_GOLDEN = "fails its golden case"
NOT_LOADED = "could not load its network"
"""What is wrong with a pipeline itself and only shows where it is loaded. Each stands behind its name."""


class EnhanceError(RuntimeError):
    """Base of the room's errors. `transient` says whether another attempt could end differently."""

    transient: ClassVar[bool] = False


class PipelineUnknown(EnhanceError):
    """No pipeline has this name."""


class PipelineBroken(EnhanceError):
    """The pipeline's file, weights or card keep it from being used."""


class ParamsRefused(EnhanceError):
    """The parameters do not fit the pipeline's `Params`."""


class CardRefused(EnhanceError):
    """A model card is missing, is not TOML, or lacks what a card must say."""


class WeightsRefused(EnhanceError):
    """Weights are missing, are not those of the card, or do not give the card's golden output."""


class SeriesRefused(EnhanceError):
    """The series holds nothing that can be enhanced, or the pipeline declined it."""


class PipelineFault(EnhanceError):
    """The pipeline raised an error, or returned something of the wrong shape."""


class CannotDecode(EnhanceError):
    """Pixel data that cannot be decoded, or not within the limits."""


class DecoderEnded(CannotDecode):
    """The decoding process was killed, or was late: the image's doing, or that of a machine that had too little."""


class OutOfMemory(EnhanceError):
    """Not even one slice fits into the device's memory."""

    transient: ClassVar[bool] = True

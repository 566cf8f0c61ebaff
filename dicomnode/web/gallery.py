"""The pictures of series as pages and programs ask for them: one gallery for each application."""

import threading
from typing import Annotated, Literal

from fastapi import Path, Query, Request, Response

from dicomnode.desk.refused import Refused
from dicomnode.desk.series.drawing import Pictures
from dicomnode.desk.series.pictures import Gallery
from dicomnode.flow import Flow

Which = Literal["before", "after", "difference"]
Number = Annotated[int, Path(ge=0, le=2**31)]
Frame = Annotated[int | None, Query(ge=1, le=2**31, description="Of an image that has several; the middle one.")]
_making = threading.Lock()


def gallery_of(request: Request, flow: Flow) -> Gallery:
    """The one of this application."""
    with _making:
        state = request.app.state
        if not hasattr(state, "gallery"):
            state.gallery = Gallery(flow)
        gallery: Gallery = state.gallery
        return gallery


def png_of(drawn: Pictures, which: Which) -> Response:
    """One picture as PNG. Raises Refused, in words, where it cannot be drawn."""
    if which not in drawn.png:
        raise Refused(drawn.missing.get(which, f"there is no picture {which}: nothing was made of it"), "missing")
    return Response(drawn.png[which], media_type="image/png")

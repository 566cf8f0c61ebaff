"""What the pages know of the node they are served by."""

from typing import Annotated, Protocol

from fastapi import Depends, Request

from dicomnode.desk.live import Live
from dicomnode.flow import Flow


class Running(Protocol):
    """A running node, as far as pages need it; `app.Node` is one."""

    flow: Flow

    @property
    def listening(self) -> bool:
        """Whether associations are taken."""

    def live(self) -> Live:
        """Its processes and threads at this moment."""


def running_of(request: Request) -> Running:
    """The node of this request's application."""
    node: Running = request.app.state.node
    return node


def flow_of(request: Request) -> Flow:
    """The flow of this request's application."""
    return running_of(request).flow


TheNode = Annotated[Running, Depends(running_of)]
TheFlow = Annotated[Flow, Depends(flow_of)]

"""What pages and API of the queue are asked with: numbers, filters of the query, and what is done to what fits."""

from typing import Annotated

from fastapi import Depends, Form, Path, Query
from pydantic import Field

from dicomnode.db.repositories.delivery_list import DeliveryFilter
from dicomnode.db.repositories.job_list import JobFilter
from dicomnode.desk import queue

_LARGEST = (1 << 63) - 1
"""The largest number that a row can have."""

Number = Annotated[int, Field(ge=1, le=_LARGEST)]
JobId = Annotated[int, Path(ge=1, le=_LARGEST, description="Number of the job.")]
DeliveryId = Annotated[int, Path(ge=1, le=_LARGEST, description="Number of the delivery.")]
NO_NUL = r"^[^\x00]*$"
"""PostgreSQL takes no NUL in a text."""

Text = Annotated[str, Query(max_length=200)]
Name = Annotated[str, Path(max_length=100, pattern=NO_NUL, description="Name of the destination.")]
FormName = Annotated[str, Form(max_length=200, pattern=NO_NUL)]
FormReason = Annotated[str, Form(max_length=500, pattern=NO_NUL)]
ItemState = Annotated[str, Query(pattern="^(pending|sent|failed)?$", description="Of an instance; empty: any.")]

BULK_SECONDS = 20.0
"""A request that does something to many rows begins no further portion after so long, and says how many are left."""


def job_filter(
    state: Text = "", pipeline: Text = "", series: Text = "", node: Text = "", priority: Text = ""
) -> JobFilter:
    """Of a query string; empty: any."""
    return queue.job_filter([state] if state else [], pipeline, series, node, priority)


def delivery_filter(state: Text = "", destination: Text = "", series: Text = "", rule: Text = "") -> DeliveryFilter:
    """Of a query string; empty: any."""
    return queue.delivery_filter([state] if state else [], destination, series, rule)


Jobs = Annotated[JobFilter, Depends(job_filter)]
Deliveries = Annotated[DeliveryFilter, Depends(delivery_filter)]

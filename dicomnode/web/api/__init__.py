"""`/api/v1`: the node for programs. One file for each noun."""

from fastapi import APIRouter

from dicomnode.web.api import (
    accounts,
    audit,
    commitments,
    deliveries,
    destinations,
    health,
    jobs,
    me,
    pictures,
    pipelines,
    revisions,
    rules,
    schema,
    series,
    system,
    today,
)

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    series.router,
    pictures.router,
    schema.router,
    accounts.router,
    me.router,
    audit.router,
    today.router,
    pipelines.router,
    system.router,
    jobs.router,
    deliveries.router,
    commitments.router,
    destinations.router,
    rules.router,
    revisions.router,
)

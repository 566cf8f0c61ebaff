"""The pages. One file for each; all are HTML, and none needs JavaScript to be read."""

from fastapi import APIRouter

from dicomnode.web.pages import (
    audit,
    destinations,
    me,
    names,
    pipelines,
    provider,
    queue,
    rules,
    series,
    sign_in,
    system,
    today,
    users,
)

ROUTERS: tuple[APIRouter, ...] = (
    today.router,
    pipelines.router,
    system.router,
    names.router,
    sign_in.router,
    provider.router,
    me.router,
    audit.router,
    users.router,
    *rules.ROUTERS,
    *series.ROUTERS,
    *queue.ROUTERS,
    destinations.router,  # after those that edit one: /destinations/{name} would take /destinations/new
)

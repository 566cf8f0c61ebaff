"""The pages. One file for each; all are HTML, and none needs JavaScript to be read."""

from fastapi import APIRouter

from dicomnode.web.pages import me, names, pipelines, rules, series, sign_in, system, today, users

ROUTERS: tuple[APIRouter, ...] = (
    today.router,
    pipelines.router,
    system.router,
    names.router,
    sign_in.router,
    me.router,
    users.router,
    *rules.ROUTERS,
    *series.ROUTERS,
)

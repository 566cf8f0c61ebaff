"""The pages. One file for each; all are HTML, and none needs JavaScript to be read."""

from fastapi import APIRouter

from dicomnode.web.pages import names

ROUTERS: tuple[APIRouter, ...] = (names.router,)

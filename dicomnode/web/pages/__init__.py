"""The pages. One file for each; all are HTML, and none needs JavaScript to be read."""

from fastapi import APIRouter

ROUTERS: tuple[APIRouter, ...] = ()

"""`/api/v1`: the node for programs. One file for each noun."""

from fastapi import APIRouter

from dicomnode.web.api import health, schema

ROUTERS: tuple[APIRouter, ...] = (health.router, schema.router)

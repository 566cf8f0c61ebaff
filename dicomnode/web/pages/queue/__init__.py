"""The queue: jobs, deliveries, and what operators do to one of them, to several, or to all that fit.

- jobs, deliveries: the lists and one of each
- moving: retry, cancel, re-route
- pausing: start no jobs for a while
"""

from fastapi import APIRouter

from dicomnode.web.pages.queue import deliveries, jobs, moving, pausing

ROUTERS: tuple[APIRouter, ...] = (pausing.router, moving.router, deliveries.router, jobs.router)
"""Jobs last: /queue/{id} would take the addresses of the others."""

"""Pages of series: the list with its search, the story of one, its pictures, running a pipeline on it."""

from dicomnode.web.pages.series import acting, deliveries, images, listing, one, run

ROUTERS = (listing.router, run.router, images.router, deliveries.router, acting.router, one.router)

"""What pages there are: one router per page, one line each. ``docs/web.md`` says how to add one."""

from app.web import routes
from app.web.reference import routes as reference

ROUTERS = (
    routes.router,
    reference.router,
)

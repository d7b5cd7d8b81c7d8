"""What pages there are: one router per page, one line each. ``docs/web.md`` says how to add one."""

from app.web import routes

ROUTERS = (routes.router,)

"""What pages there are: one router per page, one line each. ``docs/web.md`` says how to add one."""

from app.web import routes
from app.web.fit import routes as fit
from app.web.reference import routes as reference
from app.web.tree import routes as tree

ROUTERS = (
    routes.router,
    reference.router,
    tree.router,
    fit.router,
)

"""What pages there are: one router per page, one line each. ``docs/web.md`` says how to add one."""

from app.web import routes
from app.web.check import routes as check
from app.web.compare import routes as compare
from app.web.fit import routes as fit
from app.web.reference import routes as reference
from app.web.styleguide import routes as styleguide
from app.web.tree import routes as tree

ROUTERS = (
    routes.router,
    styleguide.router,
    reference.router,
    tree.router,
    fit.router,
    compare.router,
    check.router,
)

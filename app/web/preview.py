"""What a page about a plan is called, and what a link to it says."""

from app.catalog.library import Catalog
from app.texts import Texts
from app.web.planning import Answer
from app.web.presenting import model_name, verdict


def preview(texts: Texts, catalog: Catalog, found: Answer, *, title: str, lead: str) -> tuple[str, str]:
    """Title and description of a page about a plan: which model, on what, and how that stands.

    Without a plan they are the page's own.
    """
    plan, hardware = found.plan, found.hardware
    if plan is None or hardware is None:
        return title, lead
    t = texts.text
    model = model_name(plan, catalog, texts)
    said = verdict(plan.estimate, hardware, texts)
    of = t("web.title.plan", model=model, hardware=hardware.name, method=t(f"method.{plan.method}"))
    about = t("web.preview.plan", plan=of, said=said.headline, detail=said.detail)
    return t("web.title.of", page=title, model=model, hardware=hardware.name), f"{about} {lead}"
